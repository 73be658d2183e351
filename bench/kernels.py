"""Every kernel and its peers over the shapes of BERT, with what the machine can do at most: one command.

    python bench/kernels.py                 # all shapes, 1 thread and all threads
    python bench/kernels.py --only cholesky_inverse --threads 1

Prints a line per problem and the table of the targets; writes bench/results/kernels.json and kernels.png. A line of
bench/shapes/*.txt is an operation and its sizes; the file of the operation's name here turns it into a problem. The step
of a whole encoder (encoder_step.py) comes last.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import encoder_step
import environment
import machine
import peers
from measure import Case, Result, measure
from targets import table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "kernels.json"


@dataclass(frozen=True)
class Row:
    """One line of the result: `limit` is what the machine allows, in FLOP/s or bytes/s, measured in the same run."""

    operation: str
    shape: str
    threads: int
    unit: str
    work: float
    limit: float
    seconds: dict[str, float]
    repeatability: float
    quiet_rounds: int
    noisy: bool

    def percent(self, name: str) -> float:
        return 100 * self.work / self.seconds[name] / self.limit

    def best_peer(self) -> float:
        """Seconds; infinite without a peer."""
        return min((s for name, s in self.seconds.items() if name != "ours"), default=float("inf"))


def shapes() -> list[tuple[str, dict[str, str]]]:
    """(operation, sizes) of every line of every shape file, each once."""
    lines = [line.split("#")[0].split() for path in sorted(HERE.glob("shapes/*.txt")) for line in path.open()]
    unique = dict.fromkeys(tuple(fields) for fields in lines if fields)
    return [(fields[0], dict(field.split("=") for field in fields[1:])) for fields in unique]


def run(threads: int, only: str) -> list[Row]:
    limits = {dtype: machine.peak(dtype, threads) for dtype in ("fp32", "bf16")}
    print(
        f"{threads} thread(s): peak fp32 {limits['fp32'] / 1e9:.0f} GFLOP/s, bf16 {limits['bf16'] / 1e9:.0f} GFLOP/s, "
        f"copy {machine.copy_bandwidth(threads, 128 << 20) / 1e9:.1f} GB/s",
        flush=True,
    )
    rows = []
    for operation, sizes in shapes():
        if only in operation:
            case = importlib.import_module(operation).case(threads, **sizes)
            rows.append(_row(case, threads, limits, measure(case, threads, limits["fp32"])))
    if only in encoder_step.CASE.operation:
        rows.append(_row(encoder_step.CASE, threads, limits, encoder_step.measure(threads, limits["fp32"])))
    return rows


def _row(case: Case, threads: int, limits: dict[str, float], result: Result) -> Row:
    """The result beside its limit, printed. Bytes are held to a copy of as many: what fits in a cache, to the cache."""
    unit, limit = "GFLOP/s", limits.get(case.limit, 0.0)
    if case.limit == "copy":
        unit, limit = "GB/s", machine.copy_bandwidth(threads, int(case.work / 2 / threads))
    trust = {"repeatability": result.repeatability, "quiet_rounds": result.quiet_rounds, "noisy": result.noisy}
    row = Row(case.operation, case.shape, threads, unit, case.work, limit, result.seconds, **trust)
    print(line_of(row), flush=True)
    return row


def line_of(row: Row) -> str:
    contenders = [
        f"{name} {seconds * 1e3:.3f} ms {row.work / seconds / 1e9:.0f} {row.unit} {row.percent(name):.0f} %"
        for name, seconds in row.seconds.items()
    ]
    ratio = f"best peer / ours {row.best_peer() / row.seconds['ours']:.2f}" if len(row.seconds) > 1 else "no peer"
    return (
        f"{row.operation} {row.shape} T={row.threads}: {'; '.join(contenders)}; {ratio}{' NOISY' if row.noisy else ''}"
    )


def run_in_processes(counts: list[int], only: str) -> list[Row]:
    """Each thread count in a process of its own, because libraries read it when they are loaded."""
    rows = []
    for threads in counts:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            arguments = [sys.executable, __file__, "--only", only, "--worker", str(threads), "--output", file.name]
            status = os.spawnve(os.P_WAIT, sys.executable, arguments, {**os.environ, **environment.variables(threads)})
            if status != 0:
                raise SystemExit(f"error: the benchmark with {threads} threads ended with status {status}.")
            rows += [Row(**row) for row in json.loads(Path(file.name).read_text())]
    return rows


def write(rows: list[Row]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    from plot import plot

    plot(RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only operations whose name contains this; nothing is written then")
    parser.add_argument("--threads", type=int, nargs="*", help="thread counts (1 and all cores)")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        rows = run(options.worker, options.only)
        options.output.write_text(json.dumps([asdict(row) for row in rows]))
        return
    if missing := peers.missing():
        print(f"Without the peers {', '.join(missing)}, which are not installed: `make bench` installs them.")
    everything = options.threads is None and options.only == ""
    rows = run_in_processes(options.threads or sorted({1, len(os.sched_getaffinity(0))}), options.only)
    print(table(rows))
    noisy = sum(row.noisy for row in rows)
    if noisy:
        print(f"The machine is too noisy: {noisy} of {len(rows)} results may differ by more than 10 % in a rerun.")
    if everything:
        write(rows)


if __name__ == "__main__":
    main()
