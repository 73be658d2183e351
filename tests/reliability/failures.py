"""What can go wrong around a training step, one thing at a time, and what has to be there afterwards.

Prints one line of JSON: the name of each scenario and, where a promise was broken, the reason. Each life of a run is a
fork of this process (see crash.py), so that the framework is imported once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable

import crash
import numpy as np
from crash import PHASES, Lives, check_alike, check_nothing_lost, evaluate, metrics, pretrain
from reliability_harness import folder_in_memory, prepare_in_child

from bert_thor.data.batches.rows import Rows, TrainingBatches
from bert_thor.training import trainer
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps, load_checkpoint


class Place:
    """Data, an undisturbed run, and lives."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lives = folder, Lives(folder)
        self.data, self.reference = prepare_in_child(folder), folder / "reference"
        self.lives.finish(self.pretrain(self.reference))
        self.lives.finish(evaluate(self.data, self.reference))

    def pretrain(self, run: Path, *more: str) -> list[str]:
        """All runs have one configuration: the first one stores its graphs, the others start with them."""
        return pretrain(self.data, run, f"--compile-cache={self.folder / 'graphs'}", *more)

    def partial_run(self, name: str, steps: list[int]) -> Path:
        """The reference as it was when the last of these checkpoints had just been written, as if killed there."""
        run = self.folder / name
        shutil.copytree(self.reference, run)
        (run / "evaluation.json").unlink()
        for step in checkpoint_steps(run / "checkpoints"):
            if step not in steps:
                shutil.rmtree(checkpoint_path(run / "checkpoints", step))
        return run

    def live(self, run: Path, *more: str) -> tuple[int, str]:
        """(exit status, output) of one life."""
        return self._outcome(self.lives.start(self.pretrain(run, *more)))

    def spoilt_life(self, run: Path, prepare: Callable[[], object]) -> tuple[int, str]:
        """The same after `prepare`, which may count batches: without stored graphs, for which one batch more is read."""
        return self._outcome(self.lives.start(pretrain(self.data, run), prepare))

    def _outcome(self, child: int) -> tuple[int, str]:
        status = os.waitpid(child, 0)[1]
        return os.waitstatus_to_exitcode(status), self.lives.output()


def poison(is_bad: Callable[[int], bool]) -> Callable[[], None]:
    """Makes the prediction weights of the batches with these numbers (from 1) NaN."""

    def prepare() -> None:
        deliver, number = TrainingBatches.__next__, itertools.count(1)

        def poisoned(batches: TrainingBatches) -> Any:
            batch = deliver(batches)
            if not is_bad(next(number)):
                return batch
            return batch._replace(masked_lm_weights=np.full_like(batch.masked_lm_weights, np.nan))

        TrainingBatches.__next__ = poisoned  # type: ignore[method-assign]

    return prepare


def all_finite(run: Path) -> bool:
    newest = checkpoint_steps(run / "checkpoints")[-1]
    stored = load_checkpoint(checkpoint_path(run / "checkpoints", newest))
    return all(np.isfinite(array).all() for part in (stored.model, stored.optimizer) for array in part.values())


def poisoned_batches(place: Place) -> None:
    """One bad batch, also at a refresh, is skipped and counted; ten in a row stop the run with its state saved."""
    run = place.folder / "poisoned"
    status, output = place.spoilt_life(run, poison(lambda number: number in (6, 9) or number > 20))
    assert status == 1 and "not finite in 10 steps in a row up to step 30" in output and "Traceback" not in output, (
        output
    )
    lines = metrics(run)
    assert [line["step"] for line in lines if not line["applied"]] == [6, 9, *range(21, 31)]
    assert lines[5]["loss"] is None and lines[-1]["skipped_steps"] == 12
    assert checkpoint_steps(run / "checkpoints")[-1] == 30 and all_finite(run)
    status, output = place.live(run, "--resume")
    assert status == 0 and "at step 30" in output and all_finite(run), output
    assert all(line["applied"] for line in metrics(run)[30:]) and metrics(run)[-1]["skipped_steps"] == 12


def damaged_checkpoint(place: Place) -> None:
    """The newest checkpoint is damaged: resume says so, goes back, and ends where the undisturbed run does."""
    steps = checkpoint_steps(place.reference / "checkpoints")  # the best one among them
    run = place.partial_run("damaged", steps)
    path = checkpoint_path(run / "checkpoints", steps[-1]) / "optimizer.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, output = place.live(run, "--resume")
    assert status == 0 and f"the checkpoint of step {steps[-1]} is not usable" in output and "SHA-256" in output, output
    assert f"at step {steps[-2]}" in output, output
    place.lives.finish(evaluate(place.data, run))
    check_alike(run, place.reference)


def no_checkpoint_usable(place: Place) -> None:
    """All checkpoints are damaged: one sentence, and nothing is deleted."""
    steps = checkpoint_steps(place.reference / "checkpoints")[-2:]
    run = place.partial_run("unusable", steps)
    for step in steps:
        (checkpoint_path(run / "checkpoints", step) / "state.json").write_text("{}")
    status, output = place.live(run, "--resume")
    assert status == 1 and "none of the 2 checkpoints" in output and "Traceback" not in output, output
    assert checkpoint_steps(run / "checkpoints") == steps


def full_disk(place: Place) -> None:
    """Metrics cannot be written: the run stops with a sentence, and goes on later as if nothing had been."""
    run = place.folder / "full"
    folder_class = trainer.RunFolder

    def prepare() -> None:
        create = folder_class.__init__

        def full(self: Any, path: Path) -> None:
            create(self, path)
            self.metrics = Path("/dev/full")

        folder_class.__init__ = full  # type: ignore[method-assign]

    status, output = place.spoilt_life(run, prepare)
    assert status == 1 and "error: no space left on the disk" in output and "Traceback" not in output, output
    assert "step 1 is saved" in output and checkpoint_steps(run / "checkpoints") == [1]


def damaged_record(place: Place) -> None:
    """A record is damaged while the run is under way: it stops there with the steps before it saved."""
    run = place.folder / "record"

    def prepare() -> None:
        read, number = Rows.read, itertools.count()

        def damaged(rows: Any, numbers: Any) -> Any:
            if next(number) > 12:
                for file in rows.folder.files:
                    file.write_bytes(file.read_bytes().replace(b"input_ids", b"input_idz"))
            return read(rows, numbers)

        Rows.read = damaged  # type: ignore[method-assign]

    kept = {path: path.read_bytes() for path in place.data.rglob("*.tfrecord*")}
    status, output = place.spoilt_life(run, prepare)
    for path, content in kept.items():
        path.write_bytes(content)
    assert status == 1 and "error: " in output and "record" in output and "Traceback" not in output, output
    saved = checkpoint_steps(run / "checkpoints")[-1]
    assert saved == 13 and "step 13 is saved" in output, output


def kills_and_signals(place: Place) -> None:
    """A kill, then SIGTERM, which saves, then SIGINT twice, which ends at once: the run still ends like the undisturbed one.

    Without stored graphs, so that no life has ended before its signal. `make crash` is the long form.
    """
    run = place.folder / "signals"
    assert place.lives.kill(pretrain(place.data, run), ("checkpoint",), 40) is not None
    check_nothing_lost(run, place.lives.whereabouts.saved)
    for number, times, expected in ((signal.SIGTERM, 1, 143), (signal.SIGINT, 2, 130)):
        child = place.lives.start([*pretrain(place.data, run), *(["--resume"] if run.exists() else [])])
        place.lives.wait(child, lambda: PHASES[place.lives.whereabouts.phase] != "starting")
        for _ in range(times):
            time.sleep(0.3)
            os.kill(child, number)
        started = time.monotonic()
        status, output = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), place.lives.output()
        assert status in (expected, 0) and "Traceback" not in output, (status, output)
        assert time.monotonic() - started < 30
        assert "is saved" in output if status == 143 else True, output
        check_nothing_lost(run, place.lives.whereabouts.saved)
    assert place.live(run, "--resume")[0] == 0
    place.lives.kill(evaluate(place.data, run), ("evaluation", "writing evaluation.json"), 4)
    check_nothing_lost(run, 60)
    place.lives.finish(evaluate(place.data, run))
    check_alike(run, place.reference)


SCENARIOS = (poisoned_batches, damaged_checkpoint, no_checkpoint_usable, full_disk, damaged_record, kills_and_signals)


def main() -> None:
    results: dict[str, str | None] = {}
    crash.STEPS = 60
    with folder_in_memory(Path.cwd()) as folder:
        place = Place(folder)
        for scenario in SCENARIOS:
            try:
                scenario(place)
                results[scenario.__name__] = None
            except Exception:
                results[scenario.__name__] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    sys.exit(main())
