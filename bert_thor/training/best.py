"""The checkpoint of a run's best evaluation while training, which `--keep-best` keeps."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bert_thor.errors import CheckpointError
from bert_thor.files import read_json_object
from bert_thor.training.checkpoint import checkpoint_path
from bert_thor.training.progress import read_best
from bert_thor.training.run_folder import RunFolder


def best_step(folder: RunFolder) -> int:
    """The step of the best evaluation, as the run's newest readable checkpoint names it; `CheckpointError` where it has no checkpoint."""
    steps = folder.steps()
    for step in reversed(steps):
        path = checkpoint_path(folder.checkpoints, step)
        with suppress(CheckpointError):
            best = read_best(read_json_object(path / "state.json", CheckpointError), path)
            break
    else:
        raise CheckpointError(f"{folder.checkpoints} holds no checkpoint: train first, or give another run")
    if not best.step:
        raise CheckpointError(
            f"{folder.path} has no best checkpoint, because it was not evaluated while it trained: "
            "train with --evaluation-interval and --keep-best, or choose another checkpoint"
        )
    if best.step not in steps:
        raise CheckpointError(
            f"{folder.path} has no checkpoint of its best evaluation, step {best.step}, any more: train with --keep-best, "
            f"or choose one of {', '.join(map(str, steps))}"
        )
    return best.step


def best_checkpoint(folder: RunFolder) -> Path:
    """Where the checkpoint of `best_step` lies."""
    return checkpoint_path(folder.checkpoints, best_step(folder))
