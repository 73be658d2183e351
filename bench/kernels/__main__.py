"""Every kernel and its peers over the shapes of BERT, with what the machine can do at most: one command.

    python -m bench.kernels                 # all shapes, 1 thread and all threads
    python -m bench.kernels --only cholesky_inverse --threads 1
    python -m bench.kernels --draw          # the stored results, drawn again

Prints a line per problem and the table of the targets; writes bench/results/kernels.json and kernels.png. The problems are those of
kernels/<operation>/cases.py, the peers those of bench/kernels/<operation>.py. The figure shows the stored step of an encoder too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import environment, frameworks, machine
from bench.case import Case
from bench.kernels.contenders import cases
from bench.kernels.results import Row, found
from bench.measure import Result, measure
from bench.steps import results as steps
from bench.targets import KERNELS, table

RESULTS = Path(__file__).resolve().parents[1] / "results" / "kernels.json"


def run(threads: int, only: str) -> list[Row]:
    """All problems in this process."""
    limits = {dtype: machine.peak(dtype, threads) for dtype in ("fp32", "bf16")}
    print(
        f"{threads} thread(s): peak fp32 {limits['fp32'] / 1e9:.0f} GFLOP/s, bf16 {limits['bf16'] / 1e9:.0f} GFLOP/s, "
        f"copy {machine.copy_bandwidth(threads, 128 << 20) / 1e9:.1f} GB/s",
        flush=True,
    )
    return [_row(case, threads, limits, measure(case, threads, limits["fp32"])) for case in cases(threads, only)]


def _row(case: Case, threads: int, limits: dict[str, float], result: Result) -> Row:
    """The result beside its limit, printed. Bytes are held to a copy of as many: what fits in a cache, to the cache."""
    ((kind, work),) = case.needs.items()
    unit, limit = "GFLOP/s", limits.get(kind, 0.0)
    if kind == "copy":
        unit, limit = "GB/s", machine.copy_bandwidth(threads, int(work / 2 / threads))
    trust: dict[str, Any] = {
        "repeatability": result.repeatability,
        "quiet_rounds": result.quiet_rounds,
        "noisy": result.noisy,
    }
    row = Row(case.operation, case.shape, threads, unit, work, limit, result.seconds, **trust)
    print(row.line(), flush=True)
    return row


def run_in_processes(counts: Sequence[int], only: str) -> list[Row]:
    """Each thread count in a process of its own, because libraries read it when they are loaded."""
    rows = []
    for threads in counts:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            module = [sys.executable, "-m", "bench.kernels", "--only", only]
            arguments = [*module, "--worker", str(threads), "--output", file.name]
            status = os.spawnve(os.P_WAIT, sys.executable, arguments, {**os.environ, **environment.variables(threads)})
            if status != 0:
                raise SystemExit(f"error: the benchmark with {threads} threads ended with status {status}.")
            rows += [Row(**row) for row in json.loads(Path(file.name).read_text())]
    return rows


def write(rows: Sequence[Row]) -> None:
    """The file that the plot and the documents read."""
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def draw() -> None:
    """The stored results as a picture."""
    from bench.kernels.plot import plot

    kernels = [Row(**row) for row in json.loads(RESULTS.read_text())["rows"]]
    plot([*kernels, *steps.rows()], RESULTS.with_suffix(".png"))


def main() -> None:
    options = _options()
    if options.worker:
        rows = run(options.worker, options.only)
        options.output.write_text(json.dumps([asdict(row) for row in rows]))
        return
    if options.draw:
        draw()
        return
    if missing := frameworks.missing():
        print(f"Without the peers {', '.join(missing)}, which are not installed: `make bench` installs them.")
    rows = run_in_processes(options.threads or sorted({1, len(os.sched_getaffinity(0))}), options.only)
    print(table(KERNELS, found(rows)))
    noisy = sum(row.noisy for row in rows)
    if noisy:
        print(f"The machine is too noisy: {noisy} of {len(rows)} results may differ by more than 10 % in a rerun.")
    if options.threads is None and not options.only:
        write(rows)
        draw()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only operations whose name contains this; nothing is written then")
    parser.add_argument("--threads", type=int, nargs="*", help="thread counts (1 and all cores)")
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw the stored results again")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
