"""Does THOR learn in fewer steps and seconds than well-tuned baselines? One command, resumable:

    python -m bench.convergence --work FOLDER [--source docstrings|PATH...] [--stage STAGE] [--budget-minutes M] [--jobs N]
                                [--continue]
    python -m bench.convergence --draw      # the stored results, drawn again

Every finished run is one JSON file in FOLDER/runs-STAGE; a run that has its file is never repeated. After each slice the results so far are
summed up in bench/results/convergence.json and convergence.png; --continue takes the runs that are stored there as done, if they were
made with the same texts. The protocol is in `plan.py`, the splits in `splits.py`.
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

from bench.convergence.plan import SMALL, STEPS, Spec, next_specs, stage_before
from bench.convergence.splits import checksums, prepare_splits
from bench.convergence.stored import restore
from bench.convergence.summary import summarise
from bench.environment import elsewhere

RESULTS = Path(__file__).resolve().parents[1] / "results"
_LOCK = threading.Lock()
_RUNNING: set[str] = set()
"""Keys of the runs under way."""
_FAILED = threading.Event()


def main() -> int:
    """Run what fits into the budget, then sum up."""
    options = _options()
    if options.draw:
        draw()
        return 0
    if options.continued:
        print(
            f"{restore(RESULTS / 'convergence.json', options.work, options.source)} stored runs taken as done",
            flush=True,
        )
    end = time.monotonic() + 60 * options.budget_minutes if options.budget_minutes else float("inf")
    for stage in STEPS if options.stage == "all" else (options.stage,):
        before = stage_before(stage, read_results(options.work))
        if before and options.stage == "all":
            break  # the time is up
        if before:
            print(f"error: stage {stage} needs stage {before}, which is not complete: run that first", file=sys.stderr)
            return 2
        run_stage(stage, options, end)
    summarise(read_results(options.work), RESULTS, checksums(options.work))
    draw()
    return 0


def draw() -> None:
    """The stored results as a picture."""
    from bench.convergence.plot import plot

    plot(json.loads((RESULTS / "convergence.json").read_text(encoding="utf-8")), RESULTS / "convergence.png")


def run_stage(stage: str, options: argparse.Namespace, end: float) -> None:
    """All runs of a stage; those of stage seconds one after the other."""
    splits = prepare_splits(options.work, "tiny" if stage in SMALL else "mini", options.source)
    jobs = 1 if stage == "seconds" else options.jobs
    with ThreadPoolExecutor(jobs) as pool:
        workers = [pool.submit(worker, stage, options.work, splits, end) for _ in range(jobs)]
    for future in workers:
        future.result()


def worker(stage: str, work: Path, splits: Path, end: float) -> None:
    """Make runs until there is none to be made or the time is up."""
    while time.monotonic() < end and not _FAILED.is_set():
        with _LOCK:
            specs = [spec for spec in next_specs(stage, read_results(work)) if spec.key not in _RUNNING]
            if specs:
                _RUNNING.add(specs[0].key)
            elif not _RUNNING:
                return
        if specs:
            try:
                run(specs[0], work, splits)
            except BaseException:
                _FAILED.set()
                raise
            finally:
                _RUNNING.remove(specs[0].key)
        else:
            time.sleep(1)  # what comes next depends on a run that is under way


def run(spec: Spec, work: Path, splits: Path) -> None:
    """One training run in a process of its own; a run that breaks is a result too."""
    target = work / f"runs-{spec.stage}" / f"{spec.key}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"{time.strftime('%H:%M:%S')} {spec.stage} {spec.key}", flush=True)
    module = [sys.executable, "-m", "bench.convergence.one_run"]
    command = [*module, json.dumps(spec.to_json()), str(splits), str(target)]
    done = subprocess.run(command, cwd=work, env=elsewhere({}), capture_output=True, text=True, check=False)
    if not target.is_file():
        raise SystemExit(f"{spec.key} did not finish (status {done.returncode}):\n{done.stderr[-2000:]}")


def read_results(work: Path) -> list[dict[str, Any]]:
    """All finished runs."""
    files = sorted(path for stage in STEPS for path in (work / f"runs-{stage}").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.convergence", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder for data and runs; needed unless --draw is given")
    parser.add_argument("--draw", action="store_true", help="run nothing, draw the stored results again")
    parser.add_argument("--source", nargs="+", default=["docstrings"], help="text files or folders, or: docstrings")
    parser.add_argument("--stage", choices=(*STEPS, "all"), default="all", help="which stage to go on with")
    parser.add_argument(
        "--budget-minutes", type=_positive, default=None, help="start no run after this time; default: go to the end"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        choices=range(1, 65),
        default=1,
        help="runs side by side, but for stage seconds; set THOR_NUM_THREADS and OMP_NUM_THREADS to share the cores",
    )
    parser.add_argument(
        "--continue",
        dest="continued",
        action="store_true",
        help="take the runs in bench/results/convergence.json as done",
    )
    options = parser.parse_args()
    if options.work is None and not options.draw:
        parser.error("--work is missing: name a folder for data and runs, or give --draw")
    options.work = options.work and options.work.resolve()
    return options


def _positive(text: str) -> Optional[float]:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} minutes is no budget: give a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
