"""Trains for an hour with checkpoints, evaluations and kills, and watches memory and file handles.

    python tests/reliability/soak.py --seconds 3600

Half of the time one life runs undisturbed: its memory must not grow between its second and its last third by more than
1 % and 2 MiB, its file handles not at all. The other half lives are killed after random times and resumed; every resume
must go on from a checkpoint that is at most one interval old, and no file may be left that nobody needs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from crash import SIZES, Lives, check_nothing_lost, evaluate
from reliability_harness import folder_in_memory, prepare_in_child

from bert_thor.training.checkpoint import checkpoint_steps

SCHEDULE = [
    "--batch-size=8",
    "--refresh-interval=10",
    "--log-interval=1000",
    "--checkpoint-interval=50",
    "--keep-checkpoints=3",
]
SCHEDULE += ["--evaluation-interval=4000", "--steps=100000000"]


class Sample(NamedTuple):
    """What a life holds at one moment."""

    memory: float  # MiB resident
    handles: int


def sample(process: int) -> Sample:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return Sample(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir(f"/proc/{process}/fd")))


def live(lives: Lives, arguments: list[str], seconds: float, end: signal.Signals) -> list[Sample]:
    """One life of this length, ended by a signal; a sample every half second since its first step."""
    child = lives.start(arguments)
    lives.wait(child, lambda: lives.whereabouts.phase != 0)
    samples, stop = [], time.monotonic() + seconds
    while time.monotonic() < stop:
        samples.append(sample(child))
        time.sleep(0.5)
    os.kill(child, end)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (-9 if end == signal.SIGKILL else 128 + end), f"status {status}: {lives.output()}"
    return samples


def check_flat(samples: list[Sample]) -> str:
    """Raise AssertionError unless the last third is as the one before; the figures in words."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[-third:]
    before, after = (sum(one.memory for one in part) / len(part) for part in (middle, last))
    # The fewest of each third: a sample in the middle of a checkpoint sees one more, a leak lifts them all.
    handles = min(one.handles for one in middle), min(one.handles for one in last)
    figures = f"memory {before:.1f} MiB, then {after:.1f} MiB; file handles {handles[0]}, then {handles[1]}"
    assert after <= 1.01 * before + 2 and handles[1] <= handles[0], figures
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    generator, kills = random.Random(arguments.seed), 0
    with folder_in_memory(Path.cwd()) as folder:
        data, run = prepare_in_child(folder), folder / "run"
        lives = Lives(folder, arguments.seed)
        pretrain = ["pretrain", "--recipe=demo", f"--data={data}", f"--run={run}", *SIZES, *SCHEDULE]
        figures = check_flat(live(lives, pretrain, arguments.seconds / 2, signal.SIGTERM))
        undisturbed = checkpoint_steps(run / "checkpoints")[-1]
        print(f"{undisturbed} steps undisturbed: {figures}", flush=True)
        stop = time.monotonic() + arguments.seconds / 2
        while time.monotonic() < stop:
            live(lives, [*pretrain, "--resume"], generator.uniform(0, arguments.seconds / 30), signal.SIGKILL)
            check_nothing_lost(run, lives.whereabouts.saved)
            lives.finish(evaluate(data, run))
            kills += 1
        live(lives, [*pretrain, "--resume"], 1, signal.SIGTERM)
        steps = checkpoint_steps(run / "checkpoints")
        left = sorted(path.name for path in run.iterdir())
        assert len(steps) == 3 and not [name for name in left if name.startswith(".")], left
    print(f"{steps[-1]} steps in all, {kills} kills and {kills} evaluations survived; seed {arguments.seed}; {figures}")


if __name__ == "__main__":
    main()
