"""Processes that train together compute what one process computes, and none waits for a dead one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ranks import PRETRAIN, Ranks

from bert_thor.compat import sums_on_a_cpu
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps, load_checkpoint

SIZES = (
    *("--vocab-size", "100", "--max-position", "32", "--hidden-size", "24", "--num-heads", "2", "--num-layers", "1"),
    *("--intermediate-size", "40", "--hidden-dropout", "0.1", "--attention-dropout", "0.1"),
)
SCHEDULE = (
    *("--batch-size", "8", "--refresh-interval", "5", "--log-interval", "10", "--checkpoint-interval", "10"),
    *("--seed", "3"),
)
LOST = ("processes have not found each other", "The state of the cluster is error")
LIMIT = 240.0
"""Seconds that a few processes may take to start and compile on a busy machine."""


def command(data: Path, run: Path, steps: int, *more: str) -> list[str]:
    options = ("--recipe", "demo", "--data", str(data), "--run", str(run), "--steps", str(steps))
    return [*PRETRAIN, *options, *SIZES, *SCHEDULE, *more]


def losses(run: Path) -> np.ndarray:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return np.array([line["loss"] for line in lines])


def together(ranks: int, folder: Path, arguments: list[str]) -> list[str]:
    """Run to the end; the logs. MindSpore's cluster loses a message now and then while all connect: then all start again."""
    for _ in range(3):
        with Ranks(ranks, folder, arguments) as group:
            statuses = group.wait(LIMIT)
            logs = [group.log(rank) for rank in range(ranks)]
        if not any(sign in log for log in logs for sign in LOST):
            break
    assert statuses == [0] * ranks, "\n".join(logs)
    return logs


def steps_done(run: Path) -> int:
    path = run / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    subprocess.run(command(prepared, run, 20), check=True, capture_output=True, cwd=run.parent)
    return run


def assert_follows(run: Path, alone: Path) -> None:
    """20 steps with 4 refreshes: every loss within 1e-4, every weight within 1e-3 of its tensor's largest."""
    expected, found = losses(alone), losses(run)
    assert len(found) == 20 and (abs(found - expected) <= 1e-4 * abs(expected)).all(), np.stack([expected, found])
    ours, theirs = (load_checkpoint(checkpoint_path(folder / "checkpoints", 20)).model for folder in (run, alone))
    for name, array in theirs.items():
        assert (abs(ours[name] - array) <= 1e-3 * max(abs(array).max(), 1e-3)).all(), name


def test_two_processes_follow_one(prepared: Path, alone: Path, tmp_path: Path) -> None:
    logs = together(2, tmp_path, command(prepared, tmp_path / "run", 20))
    assert_follows(tmp_path / "run", alone)
    for words in ("kronecker", "step 20/20, loss", "compiling the graphs", "precision float32"):
        assert sum(words in log for log in logs) == 1, "it is printed once, by whichever process is rank 0"


def test_all_stop_early_after_the_same_step(prepared: Path, tmp_path: Path) -> None:
    """Rank 0 evaluates, and no evaluation is better than the first one: the third is the second in a row that is not."""
    program = tmp_path / "scripted.py"
    program.write_text(
        "import sys\n"
        "from bert_thor.cli import main\n"
        "from bert_thor.training.evaluation import Evaluator\n"
        "evaluate = Evaluator.evaluate\n"
        "Evaluator.evaluate = lambda *found: {**evaluate(*found), 'masked_lm_accuracy': 1 / found[1]}\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    run = tmp_path / "run"
    options = ("--evaluation-interval", "32", "--evaluation-rows", "16", "--keep-best", "--early-stop", "2")
    arguments = [sys.executable, str(program), *command(prepared, run, 30, "--optimizer", "adamw", *options)[3:]]
    logs = together(2, tmp_path, arguments)
    assert sum("stopped early after step 12/30" in log for log in logs) == 1 and len(losses(run)) == 12
    assert checkpoint_steps(run / "checkpoints") == [4, 10, 12]
    logs = together(2, tmp_path, [*arguments, "--resume"])
    assert sum("stopped early after step 12/30" in log for log in logs) == 1 and len(losses(run)) == 12


@pytest.mark.long
def test_two_processes_follow_one_with_weighted_rows(prepared: Path, tmp_path: Path) -> None:
    """Each weighs its rows by its gradients of the whole loss; absolute damping sees the scale of the mean."""
    weighted = ("--row-weights", "gradient", "--damping-rule", "absolute")
    subprocess.run(command(prepared, tmp_path / "alone", 20, *weighted), check=True, capture_output=True, cwd=tmp_path)
    together(2, tmp_path, command(prepared, tmp_path / "run", 20, *weighted))
    assert_follows(tmp_path / "run", tmp_path / "alone")


def test_an_overflow_of_one_rank_is_one_of_all(prepared: Path, tmp_path: Path) -> None:
    """Rows of the second half of a batch overflow, in the second micro-batch of rank 1: what one process does with that batch."""
    program = tmp_path / "overflow.py"
    program.write_text(
        "import os, sys\n"
        "from bert_thor.cli import main\n"
        "from bert_thor.training.trainer import Trainer\n"
        "inputs = Trainer._inputs\n"
        "def spoiled(self, batch):\n"
        "    if self.progress.step in (0, 3) and self.world.rank == self.world.ranks - 1:\n"
        "        weights = batch.masked_lm_weights.copy()\n"
        "        weights[-1] = float('inf')\n"
        "        batch = batch._replace(masked_lm_weights=weights)\n"
        "    return inputs(self, batch)\n"
        "Trainer._inputs = spoiled\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def arguments(run: Path, *more: str) -> list[str]:
        options = ("--loss-scale", "dynamic", "--loss-scale-window", "4", "--checksum-interval", "1")
        return [sys.executable, str(program), *command(prepared, run, 10, *options, *more)[3:]]

    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run(arguments(one), check=True, capture_output=True, cwd=tmp_path)
    together(2, tmp_path, arguments(two, "--accumulate", "2"))
    found, expected = (
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (two, one)
    )
    for name in ("step", "applied", "refreshed", "loss_scale", "overflows", "learning_rate"):
        assert [line[name] for line in found] == [line[name] for line in expected], name
    assert [line["step"] for line in found if not line["applied"]] == [1, 4]
    assert [line["refreshed"] for line in found] == [step in (2, 8) for step in range(1, 11)]
    for ours, theirs in zip(found, expected):
        assert not ours["applied"] or abs(ours["loss"] - theirs["loss"]) <= 1e-4 * theirs["loss"]


@pytest.mark.long
def test_four_processes_follow_one(prepared: Path, alone: Path, tmp_path: Path) -> None:
    together(4, tmp_path, command(prepared, tmp_path / "run", 20))
    assert_follows(tmp_path / "run", alone)


@pytest.mark.long
@pytest.mark.skipif("float16" not in sums_on_a_cpu(), reason="the processes of this MindSpore's CPU sum float32 alone")
def test_two_processes_exchange_scaled_gradients_in_float16(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient rounded to 11 bits, twice: losses within 2^-10 of those with sums in float32, some other bits, and no overflow more."""
    monkeypatch.setenv("THOR_BACKEND", "mindspore")
    found = []
    for exchange in ("float32", "float16"):
        options = ("--precision", "float16", "--exchange-precision", exchange, "--optimizer", "adamw")
        together(2, tmp_path, command(prepared, tmp_path / exchange, 10, *options))
        lines = [json.loads(line) for line in (tmp_path / exchange / "metrics.jsonl").read_text().splitlines()]
        assert all(line["applied"] for line in lines[5:])
        found.append(np.array([line["loss"] for line in lines]))
    assert (abs(found[1] - found[0]) <= 2.0**-10 * abs(found[0])).all() and (found[0] != found[1]).any(), found


@pytest.mark.long
def test_a_dead_rank_ends_all_and_fewer_go_on(prepared: Path, alone: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Ranks(2, tmp_path, command(prepared, run, 3000)) as group:
        until(lambda: checkpoint_steps(run / "checkpoints") or group.workers[0].poll() is not None, LIMIT)
        group.workers[1].kill()
        killed = time.monotonic()
        status = group.workers[0].wait(60)
        assert time.monotonic() - killed < 60 and status == 1
        assert "error: rank 1 of 2 has failed, so rank 0 stops too" in group.log(0)
    stored = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**stored, "steps": 20}))
    steps = checkpoint_steps(run / "checkpoints")
    for step in (step for step in steps if step > 10):
        (checkpoint_path(run / "checkpoints", step) / "manifest.json").unlink()
    printed = subprocess.run(
        command(prepared, run, 20, "--resume"), check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "at step 10" in printed.stdout or steps[0] > 10
    assert len(losses(run)) == 20


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_resume_with_another_number_of_ranks(
    prepared: Path, alone: Path, tmp_path: Path, before: int, after: int
) -> None:
    run = tmp_path / "run"
    for ranks, more in ((before, ()), (after, ("--resume",))):
        arguments = command(prepared, run, 20, *more)
        if ranks == 1:
            subprocess.run(arguments, check=True, capture_output=True, cwd=tmp_path)
        else:
            together(ranks, tmp_path, arguments)
        if ranks == before and not more:  # forget the second half
            (checkpoint_path(run / "checkpoints", 20) / "manifest.json").unlink()
    assert_follows(run, alone)


@pytest.mark.long
def test_a_signal_to_one_rank_stops_all_after_the_same_step(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Ranks(2, tmp_path, command(prepared, run, 3000)) as group:
        until(lambda: steps_done(run) >= 10 or group.workers[1].poll() is not None, LIMIT)
        group.workers[1].send_signal(signal.SIGTERM)
        assert group.wait(60) == [128 + signal.SIGTERM] * 2, group.log(0) + group.log(1)
        step = len(losses(run))
        assert checkpoint_steps(run / "checkpoints")[-1] == step
        assert all(f"step {step} is saved, continue with --resume" in group.log(rank) for rank in (0, 1))


@pytest.mark.long
def test_weights_that_differ_stop_all(prepared: Path, tmp_path: Path) -> None:
    program = tmp_path / "spoil.py"
    program.write_text(
        "import sys\n"
        "from mindspore import Tensor\n"
        "from bert_thor.cli import main\n"
        "from bert_thor.training.trainer import Trainer\n"
        "step = Trainer._one_step\n"
        "def spoiled(self, batch):\n"
        "    if self.world.rank == 1 and self.progress.step == 3:\n"
        "        bias = self.model.pooler.bias\n"
        "        bias.set_data(Tensor(bias.asnumpy() + 1e-7))\n"
        "    return step(self, batch)\n"
        "Trainer._one_step = spoiled\n"
        "sys.exit(main())\n"
    )
    arguments = command(prepared, tmp_path / "run", 20, "--checksum-interval", "6")[3:]
    with Ranks(2, tmp_path, [sys.executable, str(program), *arguments]) as group:
        assert group.wait(LIMIT) == [1, 1]
        assert all(
            "after step 6 the weights of rank 1 differ from those of rank 0" in group.log(rank) for rank in (0, 1)
        )
    assert len(losses(tmp_path / "run")) == 6


def test_a_worker_that_fails_is_not_waited_for(tmp_path: Path) -> None:
    program = "import os, sys, time; sys.exit(3) if os.environ.get('MS_NODE_ID') == '1' else time.sleep(1000)"
    with Ranks(2, tmp_path, [sys.executable, "-c", program]) as group:
        assert group.wait(LIMIT, follow=0.5) == [-signal.SIGKILL, 3]


@pytest.mark.long
def test_under_msrun(prepared: Path, alone: Path, tmp_path: Path) -> None:
    msrun = Path(sys.executable).with_name("msrun")
    if not msrun.exists():
        pytest.skip("this MindSpore has no msrun")
    launcher = [str(msrun), "--worker_num=2", "--local_worker_num=2", "--join=True", "--log_dir=logs"]
    path = {"PATH": f"{msrun.parent}:{os.environ['PATH']}"}  # msrun starts what it finds as `python`
    arguments = ["python", *command(prepared, tmp_path / "run", 20)[1:]]
    environment = {**os.environ, **path, "GLOG_v": "3"}
    subprocess.run(
        [*launcher, *arguments], check=True, capture_output=True, cwd=tmp_path, env=environment, timeout=LIMIT
    )
    assert_follows(tmp_path / "run", alone)
