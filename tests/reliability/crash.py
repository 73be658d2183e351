"""Kills training and evaluation at random moments and shows that nothing is lost but the steps since a checkpoint.

    python tests/reliability/crash.py --kills 200

One undisturbed run is the reference. Then runs with the same seed are killed (SIGKILL) again and again, resumed each
time, and compared with the reference bit for bit when they get to the end: weights, optimizer state, counts, the
metrics of every step, the evaluation. After every kill the newest whole checkpoint must be the last one whose save had
returned, or one that was just being written, and evaluation.json must be absent or whole.

The framework is imported once; every life is a fork of that process, which cannot have threads yet. Where a life is
when it ends is known from a byte of shared memory that the loop's own functions set on entry and exit.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import struct
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Callable

from reliability_harness import folder_in_memory, prepare_in_child

from bert_thor.cli import main as bert_thor
from bert_thor.optimizer import Thor
from bert_thor.training import evaluation, trainer
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps, load_checkpoint, newest_checkpoint

SIZES = ["--vocab-size=100", "--max-position=32", "--hidden-size=24", "--num-heads=2", "--num-layers=1"]
SIZES += ["--intermediate-size=40"]
SCHEDULE = ["--batch-size=8", "--refresh-interval=5", "--log-interval=50", "--checkpoint-interval=4", "--seed=3"]
SCHEDULE += ["--evaluation-interval=160", "--keep-best", "--early-stop=99"]
STEPS = 100
PHASES = ("starting", "between", "step", "refresh step", "checkpoint", "evaluation", "writing evaluation.json")
EVALUATIONS = "training_evaluations.jsonl"
TIMES = ("step_seconds", "refresh_seconds", "samples_per_second")
"""Metrics that no two runs have in common."""


class Whereabouts:
    """Shared memory in which a life leaves where it is: the phase, and the step of the last finished checkpoint."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 24)

    def reset(self) -> None:
        self._memory[:24] = struct.pack("<qqq", 0, -1, 0)

    @property
    def phase(self) -> int:
        return struct.unpack("<q", self._memory[:8])[0]

    @property
    def saved(self) -> int:
        return struct.unpack("<q", self._memory[8:16])[0]

    @property
    def changes(self) -> int:
        """Changes of phase so far."""
        return struct.unpack("<q", self._memory[16:24])[0]

    def enter(self, phase: str) -> None:
        self._memory[16:24] = struct.pack("<q", self.changes + 1)
        self._memory[:8] = struct.pack("<q", PHASES.index(phase))

    def finish_checkpoint(self, step: int) -> None:
        self._memory[8:16] = struct.pack("<q", step)
        self.enter("between")

    def watch(self, owner: Any, name: str, phase: Callable[..., str], after: Callable[..., None] | None = None) -> None:
        """Replace `owner.name` by a function that reports its phase around the call."""
        original = getattr(owner, name)

        def reporting(*arguments: Any, **options: Any) -> Any:
            self.enter(phase(*arguments, **options))
            result = original(*arguments, **options)
            self.enter("between")
            if after is not None:
                after(*arguments, **options)
            return result

        setattr(owner, name, reporting)

    def watch_all(self) -> None:
        """Report every phase of training and evaluation."""
        self.watch(
            Thor,
            "step",
            lambda thor, *_: "refresh step" if thor.captures(thor.step_number) else "step",
        )
        self.watch(
            trainer,
            "save_checkpoint",
            lambda *_: "checkpoint",
            lambda folder, checkpoint, *_: self.finish_checkpoint(checkpoint.step),
        )
        self.watch(evaluation.Evaluator, "evaluate", lambda *_: "evaluation")
        self.watch(evaluation, "write_json", lambda *_: "writing evaluation.json")


class Lives:
    """Starts lives of one run folder and ends them early."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked safely"
        self.folder, self.whereabouts, self.generator = folder, Whereabouts(), random.Random(seed)

    def start(self, arguments: list[str], prepare: Callable[[], object] = lambda: None) -> int:
        """Fork a life that runs one command after `prepare()`; its output goes to a file beside the run."""
        self.whereabouts.reset()
        child = os.fork()
        if child:
            return child
        try:
            output = os.open(self.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(self.folder)
            self.whereabouts.watch_all()
            prepare()
            os._exit(bert_thor(arguments))
        except BaseException:
            traceback.print_exc()
        os._exit(99)

    def finish(self, arguments: list[str]) -> None:
        """Let a life end by itself."""
        self.end(self.start(arguments))

    def end(self, child: int) -> None:
        """Wait until a life has ended by itself, as it should."""
        status = os.waitpid(child, 0)[1]
        if status != 0:
            raise SystemExit(f"a life that nobody killed ended with {status}: {self.output()}")

    def output(self) -> str:
        """What the last life printed."""
        return (self.folder / "output.txt").read_text()

    def kill(self, arguments: list[str], goals: tuple[str, ...], changes: int) -> str | None:
        """Start a life and kill it; returns the phase in which it was killed, None when it ended by itself before.

        One in ten is killed while it starts, the others soon after they enter a phase out of `goals`, at random among
        all the times that they do within so many changes of phase. A first step takes as long as a hundred others,
        because graphs are compiled: a moment at random by the clock would nearly always be there.
        """
        child, here = self.start(arguments), self.whereabouts
        if self.generator.random() < 0.1:
            time.sleep(self.generator.uniform(0, 3))
        else:
            after, goal = self.generator.uniform(0, changes), PHASES.index(self.generator.choice(goals))
            self.wait(child, lambda: here.changes >= after and here.phase == goal)
            time.sleep(self.generator.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return PHASES[self.whereabouts.phase]
        if status != 0:
            raise SystemExit(f"a life ended with {status}: {self.output()}")
        return None

    @staticmethod
    def wait(child: int, reached: Callable[[], bool]) -> None:
        """Until `reached()`, or until the life has ended by itself."""
        while not reached() and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.0002)


def pretrain(data: Path, run: Path, *more: str) -> list[str]:
    return [
        "pretrain",
        "--recipe",
        "demo",
        "--data",
        str(data),
        "--run",
        str(run),
        "--steps",
        str(STEPS),
        *SIZES,
        *SCHEDULE,
        *more,
    ]


def evaluate(data: Path, run: Path) -> list[str]:
    return ["evaluate", "--data", str(data), "--run", str(run)]


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def check_alike(run: Path, reference: Path) -> None:
    """Raise AssertionError unless the finished `run` equals `reference` bit for bit."""
    assert checkpoint_steps(run / "checkpoints") == checkpoint_steps(reference / "checkpoints")
    for step in checkpoint_steps(run / "checkpoints"):
        ours, theirs = (load_checkpoint(checkpoint_path(folder / "checkpoints", step)) for folder in (run, reference))
        assert ours.state == theirs.state, f"step {step}: other counts"
        for one, other in ((ours.model, theirs.model), (ours.optimizer, theirs.optimizer)):
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].tobytes() == other[name].tobytes(), f"step {step}: {name} differs"
    assert metrics(run) == metrics(reference), "other metrics"
    assert (run / EVALUATIONS).read_bytes() == (reference / EVALUATIONS).read_bytes(), (
        "other evaluations while training"
    )
    assert (run / "evaluation.json").read_bytes() == (reference / "evaluation.json").read_bytes(), "another evaluation"


def check_nothing_lost(run: Path, saved: int) -> None:
    """Raise AssertionError unless the newest whole checkpoint is at least the one whose save had returned."""
    damaged: list[str] = []
    found = newest_checkpoint(run / "checkpoints", damaged.append)
    assert not damaged, damaged
    assert (found[1].step if found else -1) >= saved, f"the checkpoint of step {saved} is lost"
    if (run / "evaluation.json").exists():
        json.loads((run / "evaluation.json").read_text())


def one_run(lives: Lives, data: Path, run: Path, kills: int, killed: Counter[str]) -> None:
    """Kill a run until `kills` lives are spent or it is finished, then let it finish, and the same for its evaluation."""
    saved = -1
    training_goals = ("step", "refresh step", "checkpoint", "evaluation", "between")
    for command, goals, changes in (
        (pretrain(data, run), training_goals, 80),
        (evaluate(data, run), ("evaluation", "writing evaluation.json"), 4),
    ):
        budget = kills if command[0] == "pretrain" else 2
        for _ in range(budget):
            resume = ["--resume"] if command[0] == "pretrain" and (run / "config.json").exists() else []
            phase = lives.kill([*command, *resume], goals, changes)
            saved = max(saved, lives.whereabouts.saved)
            check_nothing_lost(run, saved)
            if phase is None:
                break
            killed[phase] += 1
        resume = ["--resume"] if command[0] == "pretrain" and (run / "config.json").exists() else []
        lives.finish([*command, *resume])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="lives to end early, at least")
    parser.add_argument("--kills-per-run", type=int, default=12, help="before a run is left to finish and compared")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides the moments")
    arguments = parser.parse_args()
    started, killed, runs = time.monotonic(), Counter[str](), 0
    with folder_in_memory(Path.cwd()) as folder:
        data = prepare_in_child(folder)
        lives = Lives(folder, arguments.seed)
        reference, run = folder / "reference", folder / "run"
        lives.finish(pretrain(data, reference))
        lives.finish(evaluate(data, reference))
        while sum(killed.values()) < arguments.kills:
            one_run(lives, data, run, arguments.kills_per_run, killed)
            check_alike(run, reference)
            shutil.rmtree(run)
            runs += 1
            print(
                f"seed {arguments.seed}: {sum(killed.values())} kills survived in {runs} runs, {dict(killed)}",
                flush=True,
            )
    seconds = time.monotonic() - started
    print(
        f"all {sum(killed.values())} kills survived, {runs} runs equal the undisturbed one bit for bit, {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
