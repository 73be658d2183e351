"""Does THOR learn in fewer steps and seconds than well-tuned baselines? One command, resumable:

    python bench/convergence --work FOLDER [--source docstrings|PATH...] [--stage tiny|mini] [--budget-minutes M] [--jobs N]

Every finished run is one JSON file in FOLDER/runs-STAGE; a run that has its file is never repeated. After each slice the results so far are
summed up in bench/results/convergence.json and convergence.png. The protocol is in `plan.py`, the splits in `splits.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

from plan import Spec, next_specs
from splits import prepare_splits
from summary import summarise

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
_LOCK = threading.Lock()
_RUNNING: set[str] = set()
"""Optimizers that have a run under way."""


def main() -> int:
    """Run what fits into the budget, then sum up."""
    options = _options()
    stages = ("tiny", "mini") if options.stage == "all" else (options.stage,)
    end = time.monotonic() + 60 * options.budget_minutes if options.budget_minutes else float("inf")
    for stage in stages:
        splits = prepare_splits(options.work, stage, options.source)
        with ThreadPoolExecutor(options.jobs) as pool:
            workers = [pool.submit(worker, stage, options.work, splits, end) for _ in range(options.jobs)]
        for future in workers:
            future.result()
    summarise(read_results(options.work), RESULTS)
    return 0


def worker(stage: str, work: Path, splits: Path, end: float) -> None:
    """Make runs until the stage is complete or the time is up; never two runs of one optimizer at a time."""
    while time.monotonic() < end:
        with _LOCK:
            specs = [spec for spec in next_specs(stage, read_results(work)) if spec.optimizer not in _RUNNING]
            if not specs:
                return
            _RUNNING.add(specs[0].optimizer)
        run(specs[0], work, splits)
        _RUNNING.remove(specs[0].optimizer)


def run(spec: Spec, work: Path, splits: Path) -> None:
    """One training run in a process of its own; a run that breaks is a result too."""
    target = work / f"runs-{spec.stage}" / f"{spec.key}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"{time.strftime('%H:%M:%S')} {spec.stage} {spec.key}", flush=True)
    command = [sys.executable, str(HERE / "one_run.py"), json.dumps(spec.to_json()), str(splits), str(target)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if not target.is_file():
        raise SystemExit(f"{spec.key} did not finish (status {done.returncode}):\n{done.stderr[-2000:]}")


def read_results(work: Path) -> list[dict[str, Any]]:
    """All finished runs of both stages."""
    files = sorted(path for stage in ("tiny", "mini") for path in (work / f"runs-{stage}").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--source", nargs="+", default=["docstrings"], help="text files or folders, or: docstrings")
    parser.add_argument("--stage", choices=("tiny", "mini", "all"), default="all", help="which stage to go on with")
    parser.add_argument(
        "--budget-minutes", type=_positive, default=None, help="start no run after this time; default: go to the end"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        choices=range(1, 65),
        default=1,
        help="runs side by side; more than 1 makes their seconds useless",
    )
    options = parser.parse_args()
    options.work = options.work.resolve()
    return options


def _positive(text: str) -> Optional[float]:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} minutes is no budget: give a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
