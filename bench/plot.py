"""bench/results/kernels.json as a picture: per cent of the limit, whose top is the limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COLOURS = {"ours": "#c0392b", "openblas": "#2c7fb8", "pytorch": "#f39c12", "mindspore": "#7f8c8d"}


def plot(results: Path) -> None:
    """Write `results` with the suffix .png: a panel per thread count, a group of bars per problem."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = json.loads(results.read_text())["rows"]
    counts = sorted({row["threads"] for row in rows})
    width = max(14.0, 0.4 * len(rows) / len(counts))
    figure, panels = plt.subplots(len(counts), 1, figsize=(width, 5 * len(counts)), squeeze=False)
    for panel, threads in zip(panels[:, 0], counts):
        _draw(panel, [row for row in rows if row["threads"] == threads])
        panel.set_title(f"{threads} thread{'s' if threads > 1 else ''}: per cent of the limit measured in the same run")
    figure.tight_layout()
    figure.savefig(results.with_suffix(".png"), dpi=110)
    plt.close(figure)


def _draw(panel: Any, rows: list[dict[str, Any]]) -> None:
    width = 0.8 / len(COLOURS)
    for k, (name, colour) in enumerate(COLOURS.items()):
        drawn = [(i, row) for i, row in enumerate(rows) if name in row["seconds"]]
        heights = [100 * row["work"] / row["seconds"][name] / row["limit"] for _, row in drawn]
        panel.bar([i + (k - 1.5) * width for i, _ in drawn], heights, width, label=name, color=colour)
    panel.set_xticks(
        range(len(rows)), [f"{row['operation']}\n{row['shape']}" for row in rows], rotation=60, ha="right", fontsize=7
    )
    panel.set_ylim(0, 100)
    panel.set_ylabel("% of peak FLOP/s or copy bandwidth")
    panel.legend(ncols=len(COLOURS))


if __name__ == "__main__":
    plot(Path(__file__).resolve().parent / "results" / "kernels.json")
