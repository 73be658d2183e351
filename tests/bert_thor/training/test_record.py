"""What a process writes down: the time that is left counts what is left of the run, and only one rank of several says anything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bert_thor.optimizer import OptimizerConfig
from bert_thor.optimizer.schedule import refreshes_between
from bert_thor.recipes import PretrainConfig
from bert_thor.training.pace import Pace, StepKind
from bert_thor.training.progress import Progress
from bert_thor.training.record import Record
from bert_thor.training.run_folder import RunFolder

CONFIG = PretrainConfig(
    steps=100,
    batch_size=8,
    checkpoint_interval=30,
    evaluation_interval=160,
    optimizer=OptimizerConfig(refresh_interval=10),
)


def record(run: Path, step: int, skipped: int = 0, writes: bool = True) -> Record:
    """Of a run that stands at `step`; a cached step takes 1 s, one with a refresh 4 s, an evaluation 16 s, a checkpoint 64 s."""
    thor: Any = SimpleNamespace(
        step_number=step - skipped,
        refreshes_between=lambda first, last: refreshes_between(first, last, CONFIG.optimizer),
        loss_scale=SimpleNamespace(active=False),
    )
    made = Record(CONFIG, RunFolder(run), thor, Progress(step=step, samples=8 * step), writes)
    now = [0.0]
    made.pace = Pace(lambda: now[0])
    for refreshes, seconds in ((True, 99.0), (False, 99.0), (True, 4.0), (False, 1.0)):
        now[0] += seconds
        made.pace.step(StepKind(refreshes, True))
    for name, seconds in (("evaluation", 16.0), ("checkpoint", 64.0)):
        now[0] += seconds
        made.pace.other(name)
    return made


def test_the_time_left_of_a_resumed_run_is_that_of_what_is_left(tmp_path: Path) -> None:
    """From step 70 on: refreshes in 70, 80 and 90, evaluations after 80 and 100, checkpoints after 90 and 100."""
    assert record(tmp_path, 70).left() == 27 * 1 + 3 * 4 + 2 * 16 + 2 * 64
    assert record(tmp_path, 100).left() == 0


def test_steps_that_were_lost_to_overflows_move_the_refreshes(tmp_path: Path) -> None:
    assert record(tmp_path, 99).left() == 1 + 16 + 64
    assert record(tmp_path, 99, skipped=9).left() == 4 + 16 + 64


@pytest.mark.parametrize("writes", [True, False])
def test_one_rank_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str], writes: bool) -> None:
    result: Any = SimpleNamespace(loss=1.0, learning_rate=0.5, loss_scale=1.0)
    with record(tmp_path, 70, writes=writes) as one:
        one.line(epoch=1, result=result)
        one.flush()
    printed = capsys.readouterr().out
    assert printed.startswith("step 70/100, ") and "3.2 sequences/s" in printed if writes else not printed
    assert (tmp_path / "metrics.jsonl").exists() == writes
