"""The README's table is what was counted last."""

from __future__ import annotations

import json
from pathlib import Path

from bert_thor.kernels.atlas import machine

COUNTS = Path(__file__).with_name("counts.json")
README = Path(machine.__file__).with_name("README.md")


def test_the_readme_holds_the_recorded_counts() -> None:
    text = README.read_text()
    counts = json.loads(COUNTS.read_text())
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    shown = {", ".join(cell.strip(" `") for cell in row.split("|")[1:4]): row for row in rows if row.count("|") == 9}
    assert len(shown) >= 20
    for name, row in shown.items():
        count = counts[name]
        cells = [cell.strip() for cell in row.split("|")[4:-1]]
        assert cells == [
            f"{count['error']:.3f}",
            f"{count['caught']} of {count['mutants']}" if count["mutants"] else "-",
            f"{count['repeats']:,}",
            f"{count['cycles']:,}",
            f"{count['percent']:.1f} %",
        ]


def test_every_kernel_has_a_row() -> None:
    text = README.read_text()
    for name, count in json.loads(COUNTS.read_text()).items():
        if count["mutants"]:
            assert f"| `{name.split(',')[0]}` |" in text
