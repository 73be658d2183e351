"""The kernels for Ascend 910 over the shapes of BERT-Large in the simulator kernels/davinci: cycles, limits, MindSpore's own.

    python bench/ascend.py                  # what bench/results/ascend.json lacks for the kernels as they are now
    python bench/ascend.py --only layer_norm

Writes bench/results/ascend.json and ascend.png and prints the table of targets. Nothing here ran on a device. A limit is what
the problem itself needs: every tensor once through global memory at 1.2 TB/s, every input once at 32 bytes per cycle and core,
or its multiplications on the cube.
`worst` is the slowest of one run per uncertain constant at the costlier end of its range, `all` has all of them there at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ascend_cases import KERNELS, Case, cases

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci.machine import pessimistic_constants

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "ascend.json"
READ_BYTES_PER_CYCLE, BYTES_PER_CYCLE, FLOP_PER_CYCLE = 32.0 * 32, 1200.0, 8192.0 * 32  # of the chip at 1 GHz


@dataclass(frozen=True)
class Row:
    """One line of the result; cycles of the whole chip at 1 GHz."""

    operation: str
    shape: str
    cycles: int
    worst: int
    worst_constant: str
    all: int
    limit: str
    limit_cycles: float
    binding: str
    binding_percent: float
    vector_percent: float

    @property
    def percent(self) -> float:
        """Of the limit; 0 where no limit of the problem is known."""
        return 100 * self.limit_cycles / self.cycles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only operations whose name contains this; nothing is written then")
    options = parser.parse_args()
    sources = digest()
    rows = {} if options.only else stored(sources)
    for case in cases():
        key = f"{case.operation} {case.shape}"
        if options.only not in case.operation or key in rows:
            continue
        rows[key] = measure(case)
        print(line_of(rows[key]), flush=True)
        if not options.only:
            write(rows, sources)
    if not options.only:
        from ascend_plot import plot
        from ascend_targets import table

        print(table(rows))
        plot(list(rows.values()), RESULTS.with_suffix(".png"))


def digest() -> str:
    """Of what decides the rows: the problems, the TIK kernels with all that they import, the simulator and its constants."""
    kernels = sorted(KERNELS.glob("*/tbe.py"))
    for kernel in kernels:
        davinci.load(str(kernel))
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("bert_thor.kernels.")]
    imported = [Path(str(module.__file__)) for module in modules if Path(str(module.__file__)) not in kernels]
    paths = [*kernels, *imported, KERNELS / "davinci" / "machine.json", HERE / "ascend_cases.py", Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def stored(sources: str) -> dict[str, Row]:
    """The rows of an earlier run of the same sources."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    same = document.get("sources") == sources
    return {f"{row['operation']} {row['shape']}": Row(**row) for row in document.get("rows", [])} if same else {}


def write(rows: dict[str, Row], sources: str) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "chip": "Ascend910A, 32 cores at 1 GHz, simulated by kernels/davinci; no device was used",
        "sources": sources,
        "rows": [asdict(row) for row in rows.values()],
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def measure(case: Case) -> Row:
    result = case.program().run(*case.inputs(), ignore=case.ignore)
    worst = {name: max(ends) for name, ends in result.sensitivity().items()}
    name = max(worst, key=lambda n: worst[n])
    limits = {
        "read rate": case.reads / READ_BYTES_PER_CYCLE,
        "bandwidth": case.bytes / BYTES_PER_CYCLE,
        "cube": case.flop / FLOP_PER_CYCLE,
    }
    limit = max(limits, key=lambda n: limits[n])
    binding, share = result.report.binding()
    together = result.cycles_with(pessimistic_constants())
    cycles = (result.cycles, worst[name], name, together)
    return Row(case.operation, case.shape, *cycles, limit, limits[limit], binding, share, result.report.busy["V"])


def line_of(row: Row) -> str:
    own = f"{row.percent:.0f} % of {row.limit}; " if row.limit_cycles else ""
    return (
        f"{row.operation} {row.shape}: {row.cycles:,} cycles, {row.cycles / 1000:.1f} us; {own}vector unit "
        f"{row.vector_percent:.0f} %; bound by {row.binding} ({row.binding_percent:.0f} %); worst {row.worst:,} "
        f"({row.worst_constant}), all {row.all:,}"
    )


if __name__ == "__main__":
    main()
