"""bench/results/ascend.json as a picture: per cent of each kernel's limit in the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SERIES = (
    ("cycles", "nominal constants", "#c0392b"),
    ("worst", "worst single constant", "#f39c12"),
    ("all", "all at their worst", "#7f8c8d"),
)


def plot(rows: list[Any], path: Path) -> None:
    """A group of bars for every kernel and shape whose limit is known."""
    import logging

    import matplotlib

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # MindSpore's kernel files make the root logger tell all
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = [row for row in rows if row.limit_cycles]
    figure, panel = plt.subplots(figsize=(14, 6))
    width = 0.8 / len(SERIES)
    for k, (field, label, colour) in enumerate(SERIES):
        heights = [100 * row.limit_cycles / getattr(row, field) for row in drawn]
        panel.bar([i + (k - 1) * width for i in range(len(drawn))], heights, width, label=label, color=colour)
    names = [f"{row.operation}\n{row.shape}\n({row.limit})" for row in drawn]
    panel.set_xticks(range(len(drawn)), names, rotation=60, ha="right", fontsize=7)
    panel.set_ylim(0, 100)
    panel.set_xlim(-0.6, len(drawn) - 0.4)
    panel.set_ylabel("% of the limit (bench/README.md)")
    panel.set_title("Ascend 910A, 32 cores, simulated; no device was used")
    panel.legend(ncols=len(SERIES))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
