"""The original's commands as its document writes them, on the CPU with a small network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from precisions import needs_bfloat16

from bert_thor.training.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[3]
SMALL = (
    "--recipe demo --vocab-size 100 --max-position 32 --hidden-size 24 --num-heads 2 --num-layers 1 --intermediate-size 40 "
    "--batch-size 8 --refresh-interval 5 --log-interval 10"
)
LOG_LINE = re.compile(
    r"^epoch: (\d+), step: (\d+), outputs are \[[\d.]+\], total_time_span is [\d.e-]+, step_time_span is [\d.e-]+$",
    re.MULTILINE,
)
ACCURACY_LINE = re.compile(r"^step:  (\d+) Accuracy:  \[[\d.e-]+\]$", re.MULTILINE)


def call(arguments: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEVICE_TARGET": "CPU", "PYTHON": sys.executable, "GLOG_v": "3", **variables}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )


def script(name: str, *arguments: object) -> list[str]:
    return ["sh", str(ROOT / "scripts" / name), *map(str, arguments)]


@pytest.fixture(scope="module")
def standalone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `sh scripts/run_standalone_pretrain.sh` ran: 56 steps, a checkpoint every 25."""
    folder = tmp_path_factory.mktemp("standalone")
    options = f"{SMALL} --checkpoint-interval 25"
    done = call(
        script("run_standalone_pretrain.sh", 0, 1, prepared, prepared / "schema.json"),
        folder,
        BERT_THOR_OPTIONS=options,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_standalone(standalone: Path) -> None:
    log = (standalone / "LOG" / "log.txt").read_text()
    lines = [(int(epoch), int(step)) for epoch, step in LOG_LINE.findall(log)]
    assert lines == [(1, step) for step in (1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 56)]
    beside = re.findall(r"^(?:[\d.]+ sequences/s, )?elapsed [\d:]+, ETA (?:[\d:]+|unknown)$", log, re.MULTILINE)
    assert len(beside) == len(lines) and beside[-1].endswith("ETA 0:00:00")
    assert "DEVICE_ID=0" in (standalone / "LOG" / "env.log").read_text()
    names = sorted(path.name for path in (standalone / "LOG").glob("*.ckpt"))
    assert names == ["checkpoint_bert-1_25.ckpt", "checkpoint_bert-1_50.ckpt", "checkpoint_bert-1_56.ckpt"]


def test_a_dry_run(standalone: Path, prepared: Path) -> None:
    """Of the run that has ended, and of one that would go on."""
    program = [sys.executable, str(ROOT / "run_pretrain.py"), "--data_dir", str(prepared), "--epoch_size", "1"]
    more = ["--save_checkpoint_path", str(standalone / "LOG"), "--save_checkpoint_num", "20"]
    options = f"{SMALL} --checkpoint-interval 25 --resume --dry-run"
    done = call([*program, *more], standalone, BERT_THOR_OPTIONS=options)
    assert done.returncode == 0 and "nothing is left to do" in done.stdout, done.stdout + done.stderr
    done = call(program, standalone, BERT_THOR_OPTIONS=f"{SMALL} --dry-run")
    assert done.returncode == 0 and "steps: 56 of 8 sequences, 0.99 passes" in done.stdout, done.stdout + done.stderr
    assert not (standalone / "run").exists()


def test_an_earlier_run_is_not_overwritten(standalone: Path, prepared: Path) -> None:
    before = (standalone / "LOG" / "log.txt").read_bytes()
    done = call(script("run_standalone_pretrain.sh", 0, 1, prepared, prepared), standalone)
    assert done.returncode == 1 and done.stderr.startswith("error: LOG holds an earlier run")
    assert (standalone / "LOG" / "log.txt").read_bytes() == before


def test_evaluation(standalone: Path, prepared: Path) -> None:
    variables = {"DATA_FILE": str(prepared), "FINETUNE_CKPT": str(standalone / "LOG")}
    done = call([sys.executable, str(ROOT / "pretrain_eval.py")], standalone, **variables)
    assert done.returncode == 0, done.stderr
    assert ACCURACY_LINE.findall(done.stdout) == ["25", "50", "56"]
    assert ACCURACY_LINE.findall((standalone / "eval" / "infer.log").read_text()) == ["25", "50", "56"]


def scaled(data: Path, folder: Path, precision: str, scale: str, *more: str) -> subprocess.Popen[bytes]:
    """`sh scripts/run_standalone_pretrain.sh` with ENABLE_LOSSSCALE, in a process group of its own."""
    options = f"{SMALL} --loss-scale-window 7 --checkpoint-interval 8 --precision {precision}"
    environment = {
        "ENABLE_LOSSSCALE": scale,
        "THOR_BACKEND": "mindspore" if precision == "float16" else "auto",
        "BERT_THOR_OPTIONS": " ".join((options, *more)),
    }
    variables = {**os.environ, "DEVICE_TARGET": "CPU", "PYTHON": sys.executable, "GLOG_v": "3", **environment}
    command = script("run_standalone_pretrain.sh", 0, 1, data, data / "schema.json")
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Of every step, without what no two runs have in common."""
    path = folder / "LOG" / "run" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


@pytest.mark.long
@pytest.mark.parametrize("scale", ["true", "false"])
@pytest.mark.parametrize("precision", ["float16", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_a_scaled_run_that_was_killed_ends_like_one_that_was_not(
    prepared: Path, tmp_path: Path, precision: str, scale: str
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert scaled(prepared, whole, precision, scale).wait() == 0, (whole / "LOG" / "log.txt").read_text()
    life = scaled(prepared, killed, precision, scale)
    while life.poll() is None and len(metrics(killed)) < 29:
        time.sleep(0.01)
    os.killpg(life.pid, signal.SIGKILL)
    assert life.wait() == -signal.SIGKILL and 29 <= len(metrics(killed)) < 56
    assert scaled(prepared, killed, precision, scale, "--resume").wait() == 0, (killed / "LOG" / "log.txt").read_text()
    assert "at step 24" in (killed / "LOG" / "log.txt").read_text()
    assert metrics(killed) == metrics(whole) and len(metrics(whole)) == 56
    ours, theirs = (load_checkpoint(folder / "LOG/run/checkpoints/step-00000056") for folder in (killed, whole))
    assert ours.state == theirs.state
    for one, other in ((ours.model, theirs.model), (ours.optimizer, theirs.optimizer)):
        assert one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
    scales = {line["loss_scale"] for line in metrics(whole)}
    assert (len(scales) > 1) == (scale == "true") and (scale == "true" or scales == {1.0})
    assert ("loss_scale" in theirs.optimizer) == (scale == "true")


@pytest.mark.long
def test_distribute(prepared: Path, tmp_path: Path) -> None:
    options = f"{SMALL} --checkpoint-interval 25"
    done = call(script("run_distribute_pretrain.sh", 2, 1, prepared, prepared), tmp_path, BERT_THOR_OPTIONS=options)
    assert done.returncode == 0, done.stderr
    steps = [
        [int(step) for _, step in LOG_LINE.findall((tmp_path / f"LOG{rank}" / "log.txt").read_text())]
        for rank in (0, 1)
    ]
    assert steps[0] == steps[1] and steps[0][-1] == 56
    assert [path.name for path in tmp_path.glob("LOG1/*.ckpt")] == []
    assert (tmp_path / "LOG0" / "checkpoint_bert-1_50.ckpt").is_file()
    checkpoint = tmp_path / "LOG0" / "checkpoint_bert-1_56.ckpt"
    evaluation = [
        sys.executable,
        str(ROOT / "pretrain_eval.py"),
        "--DATA_FILE",
        str(prepared),
        "--FINETUNE_CKPT",
        str(checkpoint),
    ]
    assert ACCURACY_LINE.findall(call(evaluation, tmp_path).stdout) == ["56"]


@pytest.mark.parametrize(
    ("name", "arguments", "fragment"),
    [
        (
            "run_standalone_pretrain.sh",
            (),
            "usage: sh scripts/run_standalone_pretrain.sh DEVICE_ID EPOCH_SIZE DATA_DIR SCHEMA_DIR",
        ),
        ("run_standalone_pretrain.sh", ("x", 1, ".", "."), "error: DEVICE_ID is 'x'"),
        ("run_standalone_pretrain.sh", (0, 0, ".", "."), "error: EPOCH_SIZE is '0'"),
        ("run_standalone_pretrain.sh", (0, 1, "nowhere", "."), "error: DATA_DIR 'nowhere' does not exist"),
        ("run_standalone_pretrain.sh", (0, 1, ".", "nowhere"), "error: SCHEMA_DIR 'nowhere' does not exist"),
        ("run_distribute_pretrain.sh", (2,), "usage: sh scripts/run_distribute_pretrain.sh DEVICE_NUM EPOCH_SIZE"),
        ("run_distribute_pretrain.sh", (0, 1, ".", "."), "error: DEVICE_NUM is '0'"),
    ],
)
def test_what_is_wrong_in_a_script_call(
    tmp_path: Path, name: str, arguments: tuple[object, ...], fragment: str
) -> None:
    done = call(script(name, *arguments), tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(fragment), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_rank_table_is_needed_on_ascend(tmp_path: Path) -> None:
    done = call(script("run_distribute_pretrain.sh", 8, 1, ".", ".", "absent.json"), tmp_path, DEVICE_TARGET="Ascend")
    assert done.returncode == 2 and done.stderr.startswith("error: RANK_TABLE_FILE 'absent.json' does not exist")
    assert call(script("run_distribute_pretrain.sh", 8, 1, ".", "."), tmp_path, DEVICE_TARGET="Ascend").returncode == 2
    assert not list(tmp_path.iterdir())
