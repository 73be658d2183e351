"""Steps of ours beside PyTorch's: every contender in processes of its own, which take turns, because two frameworks in one would
disturb each other's thread pools. The median of the processes' medians counts, and of PyTorch's variants the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable

from bench import environment, frameworks, machine
from bench.case import Case, Contenders
from bench.kernels.results import Row
from bench.measure import Result, interleave
from bench.steps import results
from bench.steps.networks import LABELS, PYTORCH, Setting
from bench.targets import STEPS, table
from bert_thor.network.sizes import BertConfig
from bert_thor.precision import Precision

ATTEMPTS = 2
WARM_UP, FEWEST, MOST = 4, 5, 15
MEASURED_SECONDS = 5.0


@dataclass(frozen=True)
class Race:
    """A program of `bench.steps`: its name, the name and the kind of its results, the networks by hidden size, its description."""

    program: str
    operation: str
    kind: str
    networks: Mapping[int, BertConfig]
    worker: Callable[[str, Setting], float]
    """Seconds per step of a contender, in this process."""
    description: str
    counts: tuple[int, ...] = tuple(sorted({1, len(os.sched_getaffinity(0))}))
    """Thread counts that it is run with."""
    rounds: int = 3
    """Processes of each contender."""

    def settings(self, hidden: Sequence[int], precisions: Sequence[Precision], threads: int) -> list[Setting]:
        """Every network in every precision."""
        return [Setting(self.networks[size], precision, threads) for size in hidden for precision in precisions]

    def case(self, setting: Setting, names: Sequence[str] = ("ours", *PYTORCH)) -> Case:
        """Every contender, each call of which is a process of its own and gives its seconds per step."""
        calls: Contenders = {name: partial(in_process, self.program, name, setting) for name in names}
        return Case(self.operation, f"{self.kind} {setting.label}", {LABELS[setting.precision]: setting.flop}, calls)

    def row(self, setting: Setting, limits: Mapping[str, float], rounds: int) -> Row:
        """Race, and print who took how long; `limits`: FLOP/s by label of a precision."""
        case = self.case(setting, contenders(self.program, setting))
        calls = case.contenders
        result = interleave(
            list(calls), lambda name: float(calls[name]()), setting.threads, limits["fp32"], rounds, ATTEMPTS
        )
        row = row_of(case, setting.threads, limits[LABELS[setting.precision]], result)
        for name, seconds in row.variants.items():
            print(f"  {name:24} {seconds * 1e3:9.1f} ms {row.work / seconds / 1e9:7.1f} GFLOP/s")
        print(f"{row.line()}", flush=True)
        return row


def row_of(case: Case, threads: int, limit: float, result: Result) -> Row:
    """The result beside the peak of its precision; of the variants of PyTorch the fastest counts."""
    seconds = {"ours": result.seconds["ours"]}
    theirs = [value for name, value in result.seconds.items() if name in PYTORCH]
    if theirs:
        seconds["pytorch"] = min(theirs)
    (work,) = case.needs.values()
    trust = (result.repeatability, result.quiet_rounds, result.noisy)
    return Row(case.operation, case.shape, threads, "GFLOP/s", work, limit, seconds, *trust, result.seconds)


def contenders(program: str, setting: Setting) -> list[str]:
    """Ours and the variants of PyTorch that run here; says which do not. What torch.compile makes stays in its cache."""
    if frameworks.torch(setting.threads) is None:
        print("PyTorch is missing: `make bench` installs it.")
        return ["ours"]
    names = ["ours", *PYTORCH]
    try:
        in_process(program, PYTORCH[-1], setting)
    except subprocess.CalledProcessError:
        names.remove(PYTORCH[-1])
        print(f"{PYTORCH[-1]} is missing: torch.compile, which needs a C++ compiler, has failed as shown above.")
    return names


def in_process(program: str, name: str, setting: Setting) -> float:
    """What the worker of `program` measures of the contender `name`."""
    with tempfile.TemporaryDirectory() as folder:  # MindSpore leaves files in the working directory
        output = Path(folder) / "seconds.json"
        sizes = ["--hidden", str(setting.model.hidden_size), "--precision", setting.precision]
        contender = ["--threads", str(setting.threads), "--contender", name, "--output", str(output)]
        command = [sys.executable, "-m", "bench.steps", program, *sizes, *contender]
        variables = environment.elsewhere(environment.variables(setting.threads))
        subprocess.run(command, cwd=folder, env=variables, check=True)
        return float(json.loads(output.read_text()))


def seconds_of(step: Callable[[], Any]) -> float:
    """CPU time of a process with one thread, which other processes do not lengthen; else wall time."""
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    start = clock()
    step()
    return clock() - start


def median_seconds(step: Callable[[], Any]) -> float:
    """Of as many steps as `MEASURED_SECONDS` hold, `FEWEST` to `MOST`, after `WARM_UP` that compile and fill the caches."""
    for _ in range(WARM_UP):
        step()
    seconds: list[float] = []
    while len(seconds) < FEWEST or (sum(seconds) < MEASURED_SECONDS and len(seconds) < MOST):
        seconds.append(seconds_of(step))
    return statistics.median(seconds)


def main(race: Race, arguments: Sequence[str]) -> None:
    """Race as the options say, print the targets, and store what had the full number of rounds."""
    options = _options(race, arguments)
    if options.contender:
        (setting,) = race.settings(options.hidden, options.precision, options.threads[0])
        options.output.write_text(json.dumps(race.worker(options.contender, setting)))
        return
    rows = []
    for threads in options.threads:
        limits = {label: machine.peak(label, threads) for label in LABELS.values()}
        print(
            f"{threads} thread(s): peak {', '.join(f'{name} {rate / 1e9:.0f}' for name, rate in limits.items())} GFLOP/s, "
            f"copy {machine.copy_bandwidth(threads, 128 << 20) / 1e9:.1f} GB/s",
            flush=True,
        )
        for setting in race.settings(options.hidden, options.precision, threads):
            rows.append(race.row(setting, limits, options.rounds))
            if options.rounds == race.rounds:
                results.store(rows[-1:])
    print(table(STEPS, results.found_in(rows, {})))
    if any(row.noisy for row in rows):
        print("The machine is too noisy: a rerun of what is called NOISY may differ by more than 10 %.")
    if options.rounds != race.rounds:
        print(f"Nothing was stored: a stored result has {race.rounds} rounds.")


def _rounds(text: str) -> int:
    """Their even and odd halves are compared, so that there have to be two."""
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} rounds cannot be compared with one another: give 2 or more")
    return int(text)


def _options(race: Race, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.steps {race.program}",
        description=race.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes, counts = list(race.networks), list(race.counts)
    parser.add_argument(
        "--precision", nargs="+", choices=LABELS, default=list(LABELS), help="precisions of all contenders (both)"
    )
    parser.add_argument("--hidden", nargs="+", type=int, choices=sizes, default=sizes, help="hidden sizes (all)")
    parser.add_argument("--threads", nargs="+", type=int, default=counts, help=f"thread counts ({counts})")
    parser.add_argument("--rounds", type=_rounds, default=race.rounds, help=f"processes per contender ({race.rounds})")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
