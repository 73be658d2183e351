"""How every figure looks: one face, one grid, one set of colours, and the limit as a line."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

ACCENT = "#c0392b"
"""Ours."""
OTHERS = ("#2c7fb8", "#f39c12", "#7f8c8d", "#27ae60", "#8e44ad", "#16a085", "#34495e")
"""Of what stands beside ours, in order."""
TEXT = LIMIT = "#222222"
NOISY = "\N{ALMOST EQUAL TO}"
RESOLUTION = 110  # dots per inch
Series = dict[str, "list[Optional[float]]"]
"""Values by label, one per group; None where there is none."""
_STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "ytick.major.size": 0,
}


@contextmanager
def figure(path: Path, panels: int, width: float, height: float, share_x: bool = False) -> Iterator[list[Any]]:
    """The axes of `panels` side by side with one y axis, in inches; written to `path` at the end."""
    import matplotlib

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # MindSpore's kernel files make the root logger tell all
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(_STYLE):
        drawing, axes = pyplot.subplots(
            1, panels, figsize=(width, height), sharex=share_x, sharey=True, squeeze=False, layout="constrained"
        )
        yield list(axes[0])
        drawing.savefig(path, dpi=RESOLUTION)
        pyplot.close(drawing)


def bars(axis: Any, names: Sequence[str], series: Series, colours: Sequence[str], noisy: Collection[int] = ()) -> None:
    """A group of horizontal bars for every name, the first at the top; who has no value takes no room.

    Each has its value at its end, with a mark in the groups of these numbers, which are noisy.
    """
    thickness = 0.8 / len(series)
    for (label, values), colour in zip(series.items(), colours):
        places, lengths, values_at_end = [], [], []
        for group, value in enumerate(values):
            present = [other for other, found in series.items() if found[group] is not None]
            if value is not None:
                places.append(group + (present.index(label) - (len(present) - 1) / 2) * thickness)
                lengths.append(value)
                values_at_end.append(f"{NOISY if group in noisy else ''}{value:.0f}")
        drawn = axis.barh(places, lengths, thickness, label=label, color=colour)
        axis.bar_label(drawn, values_at_end, padding=2, fontsize=9, color=TEXT)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.45, -0.55)
    axis.grid(axis="x")
    axis.margins(x=0.08)


def legend(axis: Any, columns: int) -> None:
    """Above the panels, where it hides nothing."""
    handles, labels = axis.get_legend_handles_labels()
    axis.figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def limit_line(axis: Any, label: str) -> None:
    """Where 100 % of the limit is."""
    axis.axvline(100, color=LIMIT, linewidth=1.5, linestyle="--", label=label)
