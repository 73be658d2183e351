"""A run is a thing of its own: it goes on, is evaluated and converted from anywhere, by what lies in its own folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bert_thor.cli import main
from bert_thor.convert.command import ConvertConfig, convert
from bert_thor.data.batches.rows import Rows
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.errors import ConfigError
from bert_thor.training.checkpoint import checkpoint_path, load_checkpoint
from bert_thor.training.run_data import RunData, read_run_data
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.stored_config import read_pretrain_config

SIZES = "--vocab-size 100 --max-position 32 --hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24"
OPTIONS = "--optimizer adamw --learning-rate 0.003 --batch-size 8 --seed 3 --checkpoint-interval 5 --keep-checkpoints 9"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pretrain(data: Path, run: Path, *more: str) -> int:
    return main(["pretrain", "--data", str(data), "--run", str(run), *SIZES.split(), *OPTIONS.split(), *more])


@pytest.fixture(scope="module")
def data(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that may be changed; the run was started by its relative path."""
    return Path(shutil.copytree(prepared, tmp_path_factory.mktemp("place") / "data"))


@pytest.fixture(scope="module")
def finished(data: Path) -> Path:
    """A run of 15 steps, started with relative paths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data.parent)
        more = ("--steps", "15", "--evaluation-interval", "80", "--evaluation-rows", "9")
        assert pretrain(Path("data"), Path("run"), *more) == 0
    return data.parent / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, moved; the current folder is another one."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Path(shutil.copytree(finished, tmp_path / "moved"))


def losses(run: Path) -> list[tuple[int, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    return error


def test_a_run_holds_its_vocabulary_digests_and_absolute_paths(finished: Path, data: Path) -> None:
    assert (finished / "vocab.txt").read_bytes() == (data / "vocab.txt").read_bytes()
    facts = RunData(str(data), digest(data / "manifest.json"), digest(data / "vocab.txt"), cased=False)
    assert read_run_data(finished) == facts
    stored = json.loads((finished / "config.json").read_text())
    assert stored["data"] == str(data) and stored["run"] == str(finished)
    config = read_pretrain_config(finished)
    assert config.model.hidden_size == 16 and config.optimizer.name == "adamw" and config.steps == 15


def test_resume_needs_the_run_alone_and_can_go_back(
    run: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", "--resume-from", "5", "--run", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "at step 5" in printed and f"(10, 15) are now in {run / 'set_aside'}" in printed
    assert losses(run) == losses(finished)
    ours, theirs = (load_checkpoint(checkpoint_path(folder / "checkpoints", 15)) for folder in (run, finished))
    for part in ("model", "optimizer"):
        one, other = getattr(ours, part), getattr(theirs, part)
        assert one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one), part
    evaluations = [(folder / "training_evaluations.jsonl").read_bytes() for folder in (run, finished)]
    assert evaluations[0] == evaluations[1]
    assert sorted(path.name for path in (run / "set_aside").iterdir()) == ["step-00000010", "step-00000015"]
    assert main(["pretrain", "--resume", "--run", str(run)]) == 0  # nothing is left to do
    assert "at step 15" in capsys.readouterr().out and losses(run) == losses(finished)
    assert "has no checkpoint of step 7: it has 5, 10, 15" in refused(
        capsys, "pretrain", "--resume-from", "7", "--run", str(run)
    )


def test_steps_can_be_extended_and_not_cut(run: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "started with steps=15, not 10" in refused(
        capsys, "pretrain", "--resume", "--run", str(run), "--steps", "10"
    )
    assert main(["pretrain", "--resume", "--run", str(run), "--steps", "20"]) == 0
    assert "15 steps become 20" in capsys.readouterr().out
    assert losses(run)[:15] == losses(finished) and [step for step, _ in losses(run)] == list(range(1, 21))
    assert json.loads((run / "config.json").read_text())["steps"] == 20
    assert "with seed=3, not 4" in refused(capsys, "pretrain", "--resume", "--run", str(run), "--seed", "4")


def other_data(data: Path, folder: Path, vocabulary: bool) -> Path:
    """Other text, prepared with the same vocabulary or another one of the same size."""
    text, words = folder / "text.txt", folder / "vocab.txt"
    text.write_text(TEXT)
    content = (data / "vocab.txt").read_text().splitlines()
    if not vocabulary:
        content[50], content[60] = content[60], content[50]
    words.write_text("".join(f"{piece}\n" for piece in content))
    output = folder / "prepared"
    prepare(
        PrepareConfig(
            output=output, source=(str(text),), vocab_file=words, max_seq_length=32, held_out_fraction=0.2, seed=9
        )
    )
    return output


TEXT = "\n".join("bace foha gula. jeki nape.\nquiro suta wixo.\nzuba dice.\n" for _ in range(60))


def test_changed_data_is_a_warning_with_both_digests(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = other_data(data, run.parent, vocabulary=True)
    assert main(["pretrain", "--resume", "--run", str(run), "--data", str(other), "--steps", "16"]) == 0
    warning = capsys.readouterr().err
    before, now = digest(data / "manifest.json"), digest(other / "manifest.json")
    assert f"has the digest {now}" in warning and before in warning
    facts = read_run_data(run)
    assert facts.data_sha256 == now and facts.earlier_sha256 == (before,)
    assert main(["evaluate", "--run", str(run), "--step", "16"]) == 0
    assert "evaluation-data masked-LM accuracy" in capsys.readouterr().out  # some of it was trained on, perhaps


def test_another_vocabulary_of_the_same_size_is_refused(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_data(data, run.parent, vocabulary=False)
    before = (run / "data.json").read_bytes()
    for arguments in (
        ("pretrain", "--resume", "--run", str(run), "--data", str(other), "--steps", "16"),
        ("evaluate", "--run", str(run), "--data", str(other)),
        ("evaluate", "--run", str(run), "--eval-data", str(other)),
    ):
        assert "is another vocabulary than" in refused(capsys, *arguments)
    assert (run / "data.json").read_bytes() == before


def test_a_start_that_fails_does_not_stand_in_the_way(
    data: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert pretrain(data, folder, "--steps", "2", "--start", str(tmp_path / "absent")) == 1
    assert not folder.exists()
    folder.mkdir()  # as a process leaves it that was killed before its first step
    shutil.copy(finished / "config.json", folder / "config.json")
    shutil.copy(finished / "data.json", folder / "data.json")
    assert pretrain(data, folder, "--steps", "2") == 0
    assert json.loads((folder / "config.json").read_text())["steps"] == 2 and len(losses(folder)) == 2
    assert pretrain(data, folder, "--steps", "2") == 1
    assert "already holds a run" in capsys.readouterr().err


def test_evaluating_twice_merges_and_names_its_data(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = data / "train" / "part-00000-of-00001.tfrecord"
    other = other_data(data, run.parent, vocabulary=True)
    for more, name in (
        ((), "held-out"),
        (("--eval-data", str(part), "--step", "15"), "trained-on"),
        (("--eval-data", str(other)), "evaluation-data"),
        (("--rows", "mlperf-v0.7", "--step", "10"), "mlperf-v0.7"),
        (("--step", "15"), "held-out"),
    ):
        assert main(["evaluate", "--run", str(run), *more]) == 0
        assert f"{name} masked-LM accuracy" in capsys.readouterr().out
    reports = json.loads((run / "evaluation.json").read_text())
    found = [(report["rows"], report["step"]) for report in reports]
    assert sorted(found) == sorted(
        [("held-out", step) for step in (5, 10, 15)]
        + [("evaluation-data", step) for step in (5, 10, 15)]
        + [("trained-on", 15), ("mlperf-v0.7", 10)]
    )
    places = {report["rows"]: (report["data"], report["data_sha256"]) for report in reports}
    assert places["held-out"] == (str(data), digest(data / "manifest.json"))
    assert places["evaluation-data"] == (str(other), digest(other / "manifest.json"))


def test_data_without_a_manifest_is_never_called_held_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data / "train", tmp_path / "records")
    shutil.copy(data / "schema.json", tmp_path / "records")
    run = tmp_path / "run"
    assert pretrain(tmp_path / "records", run, "--steps", "5", "--evaluation-interval", "40") == 0
    assert main(["evaluate", "--run", str(run)]) == 0
    assert "trained-on masked-LM accuracy" in capsys.readouterr().out
    while_training = json.loads((run / "training_evaluations.jsonl").read_text())
    assert while_training["rows"] == "trained-on"


def test_an_evaluation_while_training_reads_the_rows_that_it_may(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [json.loads(line) for line in (finished / "training_evaluations.jsonl").read_text().splitlines()]
    assert [entry["samples"] for entry in entries] == [80] and {entry["row_count"] for entry in entries} == {9}
    assert {entry["rows"] for entry in entries} == {"held-out"}
    read: dict[str, set[int]] = {"held_out": set()}
    original = Rows._read

    def watched(rows: Rows, numbers: object) -> object:
        if rows.folder.is_held_out:
            read["held_out"].update(numbers.tolist())  # type: ignore[attr-defined]
        return original(rows, numbers)  # type: ignore[arg-type]

    monkeypatch.setattr(Rows, "_read", watched)
    more = ("--steps", "5", "--evaluation-interval", "8", "--evaluation-rows", "3")
    assert pretrain(data, tmp_path / "run", *more) == 0
    assert read["held_out"] == {0, 1, 2}


def test_the_run_converts_from_another_folder_without_an_option(run: Path, data: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(run, tmp_path / "hugging"))
    assert (tmp_path / "hugging" / "vocab.txt").read_bytes() == (data / "vocab.txt").read_bytes()
    assert json.loads((tmp_path / "hugging" / "tokenizer_config.json").read_text())["do_lower_case"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": "many"}, "steps = 'many'"),
        ({"steps": True}, "steps = True"),
        ({"model.hidden_size": 16.5}, "model.hidden_size = 16.5"),
        ({"data": 3}, "data = 3"),
        ({"optimizer.first_order": ["bias", 1]}, "optimizer.first_order"),
        ({"optimizer.damping_rule": "none"}, "optimizer.damping_rule = 'none'"),
        ({"optimizer.epsilon": 10**400}, "optimizer.epsilon"),
        ({"colour": "red"}, "has colour, which this version does not know"),
    ],
)
def test_a_configuration_that_is_none_is_refused(run: Path, change: dict[str, object], words: str) -> None:
    stored = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**stored, **change}))
    with pytest.raises(ConfigError, match=words) as refusal:
        read_pretrain_config(run)
    assert "\n" not in str(refusal.value)


def test_what_is_not_in_an_older_configuration_has_its_default(run: Path) -> None:
    stored = json.loads((run / "config.json").read_text())
    del stored["evaluation_rows"], stored["resume_from"], stored["optimizer.update_rms"]
    (run / "config.json").write_text(json.dumps(stored))
    config = read_pretrain_config(run)
    assert config.evaluation_rows is None
    RunFolder(run).check(replace(config, resume=True))


@pytest.mark.parametrize("content", ["[]", "{", '{"cased": 3}', '{"data": []}', '{"earlier_sha256": "x"}'])
def test_data_json_that_is_none_is_refused(run: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "data.json").write_text(content)
    assert "data.json" in refused(capsys, "evaluate", "--run", str(run))
    (run / "evaluation.json").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match=r"evaluation\.json is no list of evaluations"):
        RunFolder(run).read_evaluations()
