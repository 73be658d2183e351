"""The original's commands as its document writes them, on the CPU with a small network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bert_thor.errors import ConfigError
from bert_thor.original.options import EpochNames, OriginalOptions, parse_options, pretrain_config, steps_of
from bert_thor.recipes import PretrainConfig

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
    assert "DEVICE_ID=0" in (standalone / "LOG" / "env.log").read_text()
    names = sorted(path.name for path in (standalone / "LOG").glob("*.ckpt"))
    assert names == ["checkpoint_bert-1_25.ckpt", "checkpoint_bert-1_50.ckpt", "checkpoint_bert-1_56.ckpt"]


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


def test_the_table_of_options_and_its_defaults() -> None:
    expected = {
        "device_target": "Ascend",
        "distribute": "false",
        "epoch_size": 1,
        "enable_save_ckpt": "true",
        "enable_lossscale": "false",
        "do_shuffle": "true",
        "save_checkpoint_path": "",
        "load_checkpoint_path": "",
        "train_steps": -1,
        "device_id": 4,
        "enable_data_sink": "true",
        "data_sink_steps": 100,
        "save_checkpoint_steps": 1000,
        "save_checkpoint_num": 1,
    }
    options = vars(parse_options([], {}))
    assert {name: options[name] for name in expected} == expected
    assert parse_options(["--device_id=2", "--do_shuffle", "false"], {}) == OriginalOptions(
        device_id=2, do_shuffle="false"
    )
    assert parse_options([], {"DEVICE_TARGET": "CPU"}).device_target == "CPU"


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"distribute": "yes"}, "distribute is 'yes': write true or false"),
        ({"epoch_size": 0}, "epoch_size is 0"),
        ({"train_steps": 0}, "train_steps is 0"),
        ({"enable_lossscale": "true"}, "leave it 'false'"),
        ({"data_dir": ""}, "data_dir is empty"),
        ({"distribute": "true", "device_num": 8}, "device_num 8, but 1 process was started"),
        ({"save_checkpoint_num": 0}, "save_checkpoint_num is 0"),
        ({"device_id": -1}, "device_id is -1"),
    ],
)
def test_impossible_options(change: dict[str, object], fragment: str) -> None:
    values = {"data_dir": "data", **change}
    with pytest.raises(ConfigError) as error:
        OriginalOptions(**values).check(launched=1)  # type: ignore[arg-type]
    assert fragment in str(error.value)


def test_data_sink_reads_ahead() -> None:
    prefetch = {
        sink: pretrain_config(OriginalOptions(data_dir="data", enable_data_sink=sink), 1, {}).prefetch
        for sink in ("true", "false")
    }
    assert prefetch == {"true": PretrainConfig().prefetch, "false": 0} and prefetch["true"] > 0


def test_epochs_are_sink_chunks() -> None:
    names = EpochNames(1000)
    assert names.checkpoint(3000) == "checkpoint_bert-3_1000.ckpt" and names.checkpoint(1) == "checkpoint_bert-1_1.ckpt"
    assert [names.epoch(step) for step in (1, 1000, 1001, 2001, 2500)] == [1, 1, 2, 3, 3]


def test_steps_from_epochs_and_train_steps() -> None:
    assert steps_of(OriginalOptions(epoch_size=2), rows=451, batch_size=8) == 112
    assert steps_of(OriginalOptions(epoch_size=2, train_steps=100), rows=451, batch_size=8) == 100
    assert steps_of(OriginalOptions(train_steps=3000), rows=451, batch_size=8) == 56
    with pytest.raises(ConfigError, match="fewer than one step"):
        steps_of(OriginalOptions(), rows=7, batch_size=8)
