"""Breaks the checkpoint writer at every one of its file operations, in every way, and looks at what is left.

Run with LD_PRELOAD=<faults library>: `checkpoint_faults.py LIBRARY FOLDER [MUTANT]`. Prints one line of JSON with the
counts. With the name of a mutant the writer is spoilt first, and the search has to find out (test_checkpoint_faults.py).
Each case runs in a forked child, so that a case costs milliseconds: arm, save, be broken. The parent then checks that
what was there is still there or the new one is, bit for bit, and that the next save succeeds and leaves no files behind.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np

import bert_thor.training.checkpoint as writer
from bert_thor.errors import CheckpointError
from bert_thor.files import write_json
from bert_thor.training.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint

ERROR, ERROR_FROM_HERE, SHORT_WRITE, KILL, POWER = range(1, 6)
MODES = {
    "ENOSPC": (ERROR, errno.ENOSPC),
    "EIO": (ERROR, errno.EIO),
    "disk stays full": (ERROR_FROM_HERE, errno.ENOSPC),
    "short write": (SHORT_WRITE, 0),
    "kill": (KILL, 0),
    "power cut": (POWER, 0),
}
REFUSED = 3
"""Exit status of a child whose save ended with OSError or CheckpointError."""


def make(step: int) -> Checkpoint:
    generator = np.random.default_rng(step)
    model = {f"w{k}": generator.standard_normal((37, 11 + k), dtype=np.float32) for k in range(3)}
    return Checkpoint(step, model, {"m": generator.standard_normal(9000, dtype=np.float32)}, {"samples": step})


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return one.step == other.step and all(
        ours.keys() == theirs.keys() and all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
        for ours, theirs in ((one.model, other.model), (one.optimizer, other.optimizer))
    )


class Case(NamedTuple):
    """What is there before, what is done, and what may be found after."""

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], object]
    check: Callable[[Path, bool], None]


def nothing(folder: Path) -> None:
    folder.mkdir()


def one_older(folder: Path) -> None:
    save_checkpoint(folder, make(1), keep=1)


def damaged_newer(folder: Path) -> None:
    save_checkpoint(folder, make(1), keep=2)
    path = save_checkpoint(folder, make(2), keep=2)
    (path / "model.safetensors").write_bytes(b"damaged")


def save_second(folder: Path) -> object:
    return save_checkpoint(folder, make(2), keep=1)


def check_checkpoints(oldest: int | None) -> Callable[[Path, bool], None]:
    def check(folder: Path, finished: bool) -> None:
        found = newest_checkpoint(folder, lambda sentence: None)
        step = None if found is None else found[1].step
        assert step == 2 if finished else step in (oldest, 2), f"found the checkpoint of step {step}"
        assert found is None or same(found[1], make(found[1].step)), "a checkpoint has other content"
        path = save_checkpoint(folder, make(3), keep=1)
        left = sorted(entry.name for entry in folder.iterdir())
        assert left == [path.name], f"left behind: {left}"

    return check


def old_json(folder: Path) -> None:
    folder.mkdir()
    write_json(folder / "evaluation.json", ["old"])


def check_json(folder: Path, finished: bool) -> None:
    value = json.loads((folder / "evaluation.json").read_text())
    assert value == ["new"] * 1000 if finished else value in (["old"], ["new"] * 1000), (
        "evaluation.json is half-written"
    )


CASES = (
    Case("first checkpoint", nothing, save_second, check_checkpoints(None)),
    Case("next checkpoint", one_older, save_second, check_checkpoints(1)),
    Case("damaged checkpoint replaced", damaged_newer, save_second, check_checkpoints(1)),
    Case("JSON file", old_json, lambda folder: write_json(folder / "evaluation.json", ["new"] * 1000), check_json),
)


def broken_child(library: ctypes.CDLL, folder: Path, case: Case, operation: int, mode: str) -> tuple[int, int]:
    """(wait status, file operations done) of a child that is broken at `operation`."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        library.faults_arm(str(folder).encode(), operation, *MODES[mode])
        try:
            case.act(folder)
            code = 0
        except (OSError, CheckpointError):
            code = REFUSED
        except BaseException as error:
            print(f"{case.name}, {mode} at {operation}: {error!r}", file=sys.stderr)
            code = 1
        os.write(send, str(library.faults_count()).encode())
        os._exit(code)
    os.close(send)
    status = os.waitpid(child, 0)[1]
    count = os.read(receive, 64)
    os.close(receive)
    return status, int(count or b"0")


def run_case(library: ctypes.CDLL, folder: Path, case: Case, mode: str) -> int:
    """Break `case` at operation 1, 2, 3, ... until it gets through; returns how many operations there were."""
    for operation in range(1, 1000):
        shutil.rmtree(folder, ignore_errors=True)
        case.prepare(folder)
        status, done = broken_child(library, folder, case, operation, mode)
        where = f"{case.name}, {mode} at operation {operation}"
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (0, REFUSED), f"{where}: traceback"
        finished = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        try:
            case.check(folder, finished)
        except (AssertionError, OSError, ValueError) as error:
            raise SystemExit(f"{where}: {error}") from None
        if finished and done < operation:
            return operation - 1
    raise SystemExit(f"{case.name}: never got through")


def operations(library: ctypes.CDLL, folder: Path) -> list[str]:
    """The file operations of a save that nothing disturbs, with one older checkpoint to delete."""
    shutil.rmtree(folder, ignore_errors=True)
    one_older(folder)
    library.faults_arm(str(folder).encode(), 0, SHORT_WRITE, 0)
    save_second(folder)
    log: str = library.faults_log().decode()
    library.faults_arm(b"", 0, 0, 0)
    return [line.replace(str(folder), "") for line in log.splitlines()]


def deletes_first() -> None:
    """Makes room before it writes."""
    write = writer._write

    def spoilt(folder: Path, target: Path, checkpoint: Checkpoint) -> None:
        for path in folder.iterdir():
            shutil.rmtree(path)
        write(folder, target, checkpoint)

    writer._write = spoilt


MUTANTS: dict[str, Callable[[], object]] = {
    "does not sync": lambda: setattr(os, "fsync", lambda descriptor: None),
    "takes damaged for whole": lambda: setattr(writer, "_is_whole", lambda path: path.exists()),
    "deletes first": deletes_first,
    "leaves files behind": lambda: setattr(writer, "_clear_unfinished", lambda folder: None),
    "writes JSON in place": lambda: globals().update(write_json=lambda path, value: path.write_text(json.dumps(value))),
}


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    library.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    library.faults_count.restype, library.faults_log.restype = ctypes.c_long, ctypes.c_char_p
    folder = Path(sys.argv[2]) / "checkpoints"
    for mutant in sys.argv[3:]:
        MUTANTS[mutant]()
    counts = {f"{case.name}, {mode}": run_case(library, folder, case, mode) for case in CASES for mode in MODES}
    print(json.dumps({"broken": counts, "operations": operations(library, folder)}))


if __name__ == "__main__":
    main()
