"""What a step costs as a picture: its parts, stacked, along four axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import style

AXES = {"processes": "processes", "threads": "threads", "depth": "layers", "width": "hidden"}
"""Axis of a point and the field that moves along it."""
LONGEST = 3  # points of an axis
LABELS = {"processes": "processes", "threads": "threads", "depth": "layers", "width": "hidden size"}


def plot(results: Sequence[dict[str, Any]], parts: Sequence[str], path: Path) -> None:
    """A panel per axis."""
    with style.figure(path, len(AXES), 13, 4.5) as axes:
        for axis, (name, field) in zip(axes, AXES.items()):
            chosen = [result for result in results if result["point"]["axis"] == name]
            labels = [str(result["point"][field]) for result in chosen]
            bottoms = [0.0] * len(chosen)
            for part, colour in zip(parts, (*style.OTHERS[:3], style.ACCENT, *style.OTHERS[3:])):
                heights = [1e3 * max(0.0, result["seconds"][part]) for result in chosen]
                axis.bar(labels, heights, 0.6, bottom=bottoms, label=part, color=colour)
                bottoms = [bottom + height for bottom, height in zip(bottoms, heights)]
            axis.set_xlabel(LABELS[name])
            axis.set_xlim(-0.6, LONGEST - 0.4)
            axis.grid(axis="y")
        axes[0].set_ylabel("milliseconds of a step that refreshes")
        style.legend(axes[0], len(parts))
