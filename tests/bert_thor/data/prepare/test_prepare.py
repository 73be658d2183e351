from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_thor.data.batches.rows import Rows
from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.data.records.folder import open_folder
from bert_thor.data.records.manifest import Manifest
from bert_thor.data.records.schema import Schema
from bert_thor.data.text.vocabulary import SPECIAL_TOKENS

Prepared = tuple[Path, Manifest]

RUN = """
import resource, signal, sys
from pathlib import Path
from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig, prepare
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits that it is ignored
output, source, dupe_factor, workers, largest_file = sys.argv[1:]
if int(largest_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file),) * 2)
try:
    prepare(PrepareConfig(Path(output), source=(source,), vocab_size=200, max_seq_length=32, held_out_fraction=0.1,
                          dupe_factor=int(dupe_factor), workers=int(workers)))
except DataError as error:
    sys.exit(str(error))
"""


def start(
    output: Path, source: Path, dupe_factor: int = 2, workers: int = 2, largest_file: int = 0, **environment: str
) -> Any:
    arguments = [str(value) for value in (output, source, dupe_factor, workers, largest_file)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folder_holds_what_the_manifest_says(prepared: Prepared) -> None:
    folder, manifest = prepared
    parts = [f"train/part-0000{number}-of-00003.tfrecord" for number in range(3)]
    files = [*parts, "held_out/part-00000-of-00001.tfrecord", "vocab.txt", "schema.json"]
    assert sorted(digests(folder)) == sorted([*files, "manifest.json"])
    assert [(entry.path, entry.sha256) for entry in manifest.files] == [(path, digests(folder)[path]) for path in files]
    assert [entry.bytes for entry in manifest.files] == [(folder / path).stat().st_size for path in files]
    assert manifest.train_rows == sum(entry.rows for entry in manifest.files[:3]) > 0
    assert manifest.documents == 60 and manifest.held_out_documents == 6


def test_the_unigram_baseline_is_that_of_the_rows(prepared: Prepared) -> None:
    folder, manifest = prepared
    labels = {}
    for split in ("train", "held_out"):
        rows = Rows(open_folder(folder, split), manifest.vocab_size)
        batch = rows.read(np.arange(len(rows)))
        labels[split] = batch.masked_lm_ids[batch.masked_lm_weights > 0]
    token = np.bincount(labels["train"]).argmax()
    assert manifest.unigram.token_id == token
    assert manifest.unigram.held_out_labels == len(labels["held_out"])
    assert manifest.unigram.held_out_accuracy == (labels["held_out"] == token).mean()


def test_same_seed_same_bytes_whatever_the_hash_seed_and_the_number_of_workers(
    prepared: Prepared, text_folder: Path, tmp_path: Path
) -> None:
    runs = [
        start(tmp_path / "a", text_folder, workers=1, PYTHONHASHSEED="1"),
        start(tmp_path / "b", text_folder, workers=3, PYTHONHASHSEED="2", TOKENIZERS_PARALLELISM="false"),
    ]
    for run in runs:
        assert run.wait(120) == 0, run.stderr.read()
    first, second, expected = digests(tmp_path / "a"), digests(tmp_path / "b"), digests(prepared[0])
    assert first == second == expected


def test_another_seed_gives_other_rows(prepared: Prepared, text_folder: Path, tmp_path: Path) -> None:
    config = PrepareConfig(
        tmp_path / "data",
        source=(str(text_folder),),
        vocab_size=200,
        max_seq_length=32,
        held_out_fraction=0.1,
        seed=1,
        workers=1,
    )
    prepare(config)
    first = "train/part-00000-of-00003.tfrecord"
    assert digests(tmp_path / "data")[first] != digests(prepared[0])[first]


def test_held_out_documents_are_passed_over_once_whatever_the_dupe_factor(
    prepared: Prepared, text_folder: Path, tmp_path: Path
) -> None:
    """The folder `prepared` has a dupe factor of 2."""
    config = PrepareConfig(
        tmp_path / "data",
        source=(str(text_folder),),
        vocab_size=200,
        max_seq_length=32,
        held_out_fraction=0.1,
        workers=1,
    )
    assert prepare(config).train_rows < 0.75 * prepared[1].train_rows
    held_out = "held_out/part-00000-of-00001.tfrecord"
    assert digests(tmp_path / "data")[held_out] == digests(prepared[0])[held_out]


@pytest.mark.parametrize("fraction", (0.0, 0.01, 0.25, 0.9))
def test_documents_are_held_out_whole(fraction: float, tmp_path: Path) -> None:
    """Each document has its own word, so the tokens of a row tell which documents it was made of."""
    words = [f"word{number}" for number in range(40)]
    for part in range(2):
        texts = ["\n".join([words[number] + " the"] * 6) for number in range(part, 40, 2)]
        (tmp_path / f"{part}.txt").write_text("\n\n".join(texts))
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "the", *words]))
    manifest = prepare(
        PrepareConfig(
            tmp_path / "data",
            source=(str(tmp_path / "0.txt"), str(tmp_path / "1.txt")),
            vocab_file=tmp_path / "vocab.txt",
            max_seq_length=16,
            held_out_fraction=fraction,
            workers=1,
        )
    )
    expected = 0 if fraction == 0 else max(1, round(40 * fraction))
    assert manifest.held_out_documents == expected
    assert (tmp_path / "data" / "held_out").exists() == (expected > 0)
    training = documents_in(tmp_path / "data", "train")
    assert len(training) == 40 - expected
    if expected:
        held_out = documents_in(tmp_path / "data", "held_out")
        assert len(held_out) == expected and not training & held_out


def documents_in(folder: Path, split: str) -> set[int]:
    """The words that occur unmasked or as labels (a token that replaces another at random is not its document's)."""
    rows = Rows(open_folder(folder, split), 46)
    batch = rows.read(np.arange(len(rows)))
    tokens = batch.input_ids.copy()
    np.put_along_axis(tokens, batch.masked_lm_positions.astype(np.int64), 0, axis=1)
    return set(np.unique(np.concatenate((tokens.ravel(), batch.masked_lm_ids.ravel())))) & set(range(6, 46))


def test_prose_and_shards(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("One sentence here. Another one there.\n\nAnd a paragraph. " * 20)
    config = PrepareConfig(
        tmp_path / "data", source=(str(tmp_path),), prose=True, shards=2, vocab_size=64, max_seq_length=32, workers=1
    )
    with pytest.raises(DataError, match=r"yields \d+ word pieces, not 64"):
        prepare(config)
    (tmp_path / "vocab.txt").write_text("\n".join((*SPECIAL_TOKENS, ".", "one", "and", "another")))
    sources = tuple(str(tmp_path / f"{number}.md") for number in range(5))
    manifest = prepare(
        PrepareConfig(
            tmp_path / "data",
            source=sources,
            prose=True,
            shards=2,
            vocab_file=tmp_path / "vocab.txt",
            max_seq_length=32,
            workers=1,
        )
    )
    assert manifest.documents == 5
    assert [entry.path for entry in manifest.files if entry.path.startswith("train")] == [
        "train/part-00000-of-00002.tfrecord",
        "train/part-00001-of-00002.tfrecord",
    ]


@pytest.mark.parametrize(
    ("length", "predictions"),
    ((128, 20), (512, 76), (64, 8), (8, 1)),
    ids=("MLPerf phase 1", "MLPerf phase 2", "64", "8"),
)
def test_predictions_per_row_by_default(length: int, predictions: int) -> None:
    assert PrepareConfig(Path("x"), max_seq_length=length).schema == Schema(length, predictions)


@pytest.mark.parametrize(
    ("setting", "reason"),
    (
        ({"max_seq_length": 4}, "max_seq_length is 4, expected 8 to 65536"),
        ({"masked_lm_prob": 0.0}, "masked_lm_prob is 0.0, expected more than 0"),
        ({"masked_lm_prob": float("nan")}, "masked_lm_prob is nan"),
        ({"short_seq_prob": 1.5}, "short_seq_prob is 1.5, expected 0 to 1"),
        ({"held_out_fraction": 1.0}, "held_out_fraction is 1.0, expected at least 0 and less than 1"),
        ({"dupe_factor": 0}, "dupe_factor is 0, expected at least 1"),
        ({"vocab_size": 10}, "vocab_size is 10, expected at least"),
        ({"shards": 0}, "shards is 0, expected at least 1"),
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"max_predictions_per_seq": 126}, "max_predictions_per_seq is 126, expected 1 to 125"),
    ),
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        PrepareConfig(Path("x"), **setting)


def test_unusable_sources_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("only one document\nof two sentences\n")
    for source, reason in (("one.txt", "the source has 1 documents"), ("none.txt", "does not exist")):
        with pytest.raises(DataError, match=reason):
            prepare(PrepareConfig(tmp_path / "data", source=(str(tmp_path / source),), workers=1))
        assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]


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
    run = start(tmp_path / "data", text_folder, largest_file=40_000)
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
