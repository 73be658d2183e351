"""prepare that is stopped, killed, or runs out of disk: nothing half-written, and the finished files count."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from preparing import digests, start

from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.data.records.manifest import Manifest

Prepared = tuple[Path, Manifest]


def test_an_output_in_use_is_not_touched(tmp_path: Path, text_folder: Path) -> None:
    output = tmp_path / "data"
    output.mkdir()
    (output / "precious").write_text("mine")
    with pytest.raises(DataError, match="data exists and is not an empty folder"):
        prepare(PrepareConfig(output, source=(str(text_folder),)))
    assert (output / "precious").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(DataError, match=r"cannot write .*: File exists"):
        prepare(PrepareConfig(output / "precious" / "data", source=(str(text_folder),)))


def test_two_processes_do_not_write_the_same_folder(tmp_path: Path, text_folder: Path) -> None:
    (tmp_path / ".data.partial").mkdir()
    descriptor = os.open(tmp_path / ".data.partial", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="another process is writing"):
        prepare(PrepareConfig(tmp_path / "data", source=(str(text_folder),)))
    os.close(descriptor)


def test_no_space_is_one_sentence_and_leaves_nothing(tmp_path: Path, text_folder: Path) -> None:
    """A limit on the size of files stands for a full disk: the write fails in the middle, in a worker."""
    run = start(tmp_path / "data", text_folder, largest_file=4_000)
    _, message = run.communicate(timeout=60)
    assert run.returncode == 1
    assert message.decode().strip() == f"cannot write {tmp_path / 'data'}: File too large; nothing was left there."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
def test_a_killed_run_leaves_no_output_and_no_process(
    number: signal.Signals, tmp_path: Path, text_folder: Path
) -> None:
    output = tmp_path / "data"
    run = start(output, text_folder, dupe_factor=100_000)
    wait_until((tmp_path / ".data.partial" / "vocab.txt").exists)
    time.sleep(0.1)  # the workers are making rows now, and would for minutes
    os.kill(run.pid, number)
    run.communicate(timeout=60)
    assert (
        run.returncode == {signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[number]
    )
    wait_until(lambda: not list(processes_of(str(output))))
    left = [".data.partial"] if number == signal.SIGKILL else []
    assert [path.name for path in tmp_path.iterdir()] == left
    again = start(output, text_folder)
    assert again.wait(120) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_worker_that_dies_is_one_sentence_and_leaves_nothing(tmp_path: Path, text_folder: Path) -> None:
    """As the kernel kills a process when memory runs out."""
    output = tmp_path / "data"
    run = start(output, text_folder, dupe_factor=100_000)
    wait_until((tmp_path / ".data.partial" / "vocab.txt").exists)
    os.kill(max(process for process in processes_of(str(output)) if process != run.pid), signal.SIGKILL)
    _, message = run.communicate(timeout=60)
    assert message.decode().startswith("a worker process was killed, probably for lack of memory")
    assert run.returncode == 1 and list(tmp_path.iterdir()) == []


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_of(argument: str) -> Iterator[int]:
    """Running processes with this command line argument: the command and its workers, which have its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            running = " Z " not in folder.joinpath("stat").read_text()
            if running and argument in folder.joinpath("cmdline").read_bytes().decode().split("\0"):
                yield int(folder.name)
        except OSError:
            continue


def test_an_interrupted_run_goes_on_from_the_finished_files(
    tmp_path: Path, text_folder: Path, prepared: Prepared
) -> None:
    """A run is killed when it has some files; the next one keeps them as they are and makes the rest."""
    output, partial = tmp_path / "data", tmp_path / ".data.partial"
    run = start(output, text_folder, dupe_factor=60, workers=1)
    wait_until((partial / "scratch" / "finished" / "train-part-00000-of-00003.tfrecord.npz").exists)
    os.kill(run.pid, signal.SIGTERM)
    _, message = run.communicate(timeout=60)
    assert re.search(r"\d finished files are kept in .*\.data\.partial, and the same command goes on", message.decode())
    assert not output.exists()
    kept = partial / "train" / "part-00000-of-00003.tfrecord"
    inode = kept.stat().st_ino
    again = start(output, text_folder, dupe_factor=60, workers=2)
    assert again.wait(300) == 0
    assert (output / "train" / kept.name).stat().st_ino == inode
    whole = start(tmp_path / "whole", text_folder, dupe_factor=60, workers=2)
    assert whole.wait(300) == 0
    assert digests(output) == digests(tmp_path / "whole")


def test_finished_files_of_other_settings_are_not_used(tmp_path: Path, text_folder: Path, prepared: Prepared) -> None:
    run = start(tmp_path / "data", text_folder, dupe_factor=60, workers=1)
    wait_until((tmp_path / ".data.partial" / "scratch" / "finished" / "train-part-00000-of-00003.tfrecord.npz").exists)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    again = start(tmp_path / "data", text_folder)
    assert again.wait(120) == 0
    assert digests(tmp_path / "data") == digests(prepared[0])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_disk_that_fills_up_later_keeps_the_finished_files(tmp_path: Path, text_folder: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    output = tmp_path / "data"
    run = start(output, text_folder, dupe_factor=60, workers=1)
    wait_until((tmp_path / ".data.partial" / "scratch" / "finished" / "train-part-00000-of-00003.tfrecord.npz").exists)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    full = start(output, text_folder, dupe_factor=60, workers=1, largest_file=4_000)
    _, message = full.communicate(timeout=120)
    assert full.returncode == 1
    assert re.search(
        r"cannot write .*: File too large; \d finished files are kept in .*\.data\.partial", message.decode()
    )
    assert start(output, text_folder, dupe_factor=60, workers=2).wait(300) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
