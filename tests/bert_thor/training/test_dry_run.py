"""A dry run says what a run will take, and leaves nothing."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from bert_thor.cli import main
from bert_thor.training.dry_run import Findings, peak_memory

SIZES = (
    "--vocab-size 100 --max-position 32 --hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24 --seed 3"
)
OPTIONS = "--batch-size 8 --steps 60 --checkpoint-interval 10 --evaluation-interval 80 --evaluation-rows 9"
FOUND = Findings(
    steps=1500,
    batch_size=16,
    passes=1.25,
    refreshes=30,
    cached_seconds=0.0625,
    refresh_seconds=0.25,
    first_seconds=20.0,
    evaluations=6,
    evaluation_seconds=1.5,
    checkpoints=3,
    checkpoint_seconds=0.5,
    checkpoint_bytes=3 * 2**20,
    kept=4,
    peak_bytes=1200 * 2**20,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where throw-away places are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pretrain(data: Path, run: Path, *more: str) -> int:
    return main(["pretrain", "--data", str(data), "--run", str(run), *SIZES.split(), *OPTIONS.split(), *more])


def content(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text, re.M)
    assert found is not None, text
    return [float(group.replace(",", "")) for group in found.groups()]


def test_a_new_run_is_measured_and_leaves_nothing(
    prepared: Path, tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert pretrain(prepared, run, "--refresh-interval", "20", "--keep-best", "--tensorboard", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert f"dry run of {run}: nothing was written there" in printed
    assert "steps: 60 of 8 sequences" in printed and "6 evaluations" in printed and "6 checkpoints" in printed
    cached, refresh, count = numbers(
        r"a step: ([\d.e-]+) s cached, ([\d.e-]+) s with a refresh \((\d+) of them\)", printed
    )
    assert 0 < cached < 60 and 0 < refresh < 60 and count == 3
    kept, each, all_of_them = numbers(r"disk: (\d+) checkpoints of ([\d.]+) MiB, ([\d.]+) MiB", printed)
    assert kept == 4 and each > 0 and abs(all_of_them - 4 * each) <= 0.25
    assert numbers(r"memory: ([\d,]+) MiB", printed)[0] > 50
    assert not run.exists() and not list(place.iterdir())


def test_a_run_that_goes_on_is_measured_beside_itself(
    prepared: Path, tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert pretrain(prepared, run, "--optimizer", "adamw", "--steps", "10") == 0
    before = content(run)
    for more in ((), ("--resume-from", "10")):
        assert main(["pretrain", "--resume", "--run", str(run), "--steps", "30", "--dry-run", *more]) == 0
        printed = capsys.readouterr().out
        assert "at step 10" in printed and "steps: 20 of 8 sequences" in printed
        assert (
            "2 evaluations" in printed
            and "2 checkpoints" in printed
            and "not timed with a refresh (0 of them)" in printed
        )
    assert main(["pretrain", "--resume", "--run", str(run), "--dry-run"]) == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert pretrain(prepared, run, "--optimizer", "adamw", "--dry-run") == 0
    assert f"the run itself would not start: {run} already holds a run" in capsys.readouterr().out
    for more, words in (
        (("--seed", "4"), "was started with seed=3"),
        (("--resume-from", "7"), "no checkpoint of step 7"),
    ):
        assert main(["pretrain", "--resume", "--run", str(run), "--dry-run", *more]) == 1
        error = capsys.readouterr().err
        assert words in error and str(run) in error
    assert content(run) == before and not list(place.iterdir())


def test_several_processes_are_refused(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK_TABLE_FILE", "table.json")
    monkeypatch.setenv("RANK_SIZE", "2")
    assert pretrain(prepared, tmp_path / "run", "--dry-run") == 1
    assert "dry_run measures one process, 2 were started" in capsys.readouterr().err


def test_the_whole_time_is_the_sum_of_its_parts() -> None:
    lines = FOUND.text().splitlines()
    assert lines[0].startswith("memory: 1,200 MiB")
    assert lines[1] == "disk: 4 checkpoints of 3.0 MiB, 12.0 MiB"
    assert lines[2] == "steps: 1,500 of 16 sequences, 1.25 passes over the data"
    assert lines[3] == "a step: 0.0625 s cached, 0.25 s with a refresh (30 of them)"
    seconds = 20.0 + 1470 * 0.0625 + 30 * 0.25 + 6 * 1.5 + 3 * 0.5
    assert seconds == 129.875
    assert lines[4] == (
        "whole time: about 0:02:10: compilation and first steps 0:00:20, steps 0:01:39, 6 evaluations 0:00:09, 3 checkpoints 0:00:02"
    )


def test_a_kind_of_step_that_was_not_timed_is_taken_for_the_other() -> None:
    found = replace(FOUND, refresh_seconds=None)
    assert "not timed with a refresh" in found.text() and "steps 0:01:34" in found.text()
    assert "steps 0:06:15" in replace(FOUND, cached_seconds=None).text()


def test_the_peak_of_the_memory_is_that_of_this_process() -> None:
    before = peak_memory()
    block = bytearray(before + (64 << 20))  # more than there ever was
    block[:: 1 << 12] = b"\1" * len(range(0, len(block), 1 << 12))
    assert peak_memory() >= len(block)
