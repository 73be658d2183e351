"""What prepare writes: rows, manifest, vocabulary, the same for any number of workers."""

from __future__ import annotations

import bz2
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard
from preparing import digests, start

from bert_thor.data.batches.rows import Rows
from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig, pipeline, prepare
from bert_thor.data.records.folder import open_folder
from bert_thor.data.records.manifest import Manifest
from bert_thor.data.text.vocabulary import SPECIAL_TOKENS, Vocabulary

Prepared = tuple[Path, Manifest]


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
        shards=3,
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
        shards=3,
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
    expected = 0 if fraction == 0 else max(2, round(40 * fraction))
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
        tmp_path / "data",
        source=(str(tmp_path),),
        prose=True,
        shards=2,
        vocab_size=64,
        max_seq_length=32,
        held_out_fraction=0,
        workers=1,
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
            held_out_fraction=0,
            workers=1,
        )
    )
    assert manifest.documents == 5
    assert [entry.path for entry in manifest.files if entry.path.startswith("train")] == [
        "train/part-00000-of-00002.tfrecord",
        "train/part-00001-of-00002.tfrecord",
    ]


def test_unusable_sources_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("only one document\nof two sentences\n")
    for source, reason in (("one.txt", "the source has 1 documents"), ("none.txt", "does not exist")):
        with pytest.raises(DataError, match=reason):
            prepare(PrepareConfig(tmp_path / "data", source=(str(tmp_path / source),), workers=1))
        assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]


def test_an_unusable_vocabulary_is_refused_before_the_text_is_read(
    tmp_path: Path, text_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.txt").write_text("the\n")
    for name, reason in (("none.txt", r"cannot read the vocabulary .*none\.txt: No such"), ("bad.txt", "has no")):
        with pytest.raises(DataError, match=reason):
            prepare(PrepareConfig(tmp_path / "data", source=(str(text_folder),), vocab_file=tmp_path / name))
        assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]
        assert "documents" not in capfd.readouterr().out


def test_no_row_takes_a_random_next_from_its_own_document(tmp_path: Path) -> None:
    """80 files of one article each were 80 parts of one document, and every random next came from the first one's own document."""
    words = [f"word{number}" for number in range(80)]
    for number, word in enumerate(words):
        (tmp_path / f"{number:02d}.txt").write_text("\n".join([f"{word} the"] * 14))
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "the", *words]))
    source = tuple(str(tmp_path / f"{number:02d}.txt") for number in range(80))
    settings = {"vocab_file": tmp_path / "vocab.txt", "max_seq_length": 16, "workers": 1}
    manifest = prepare(PrepareConfig(tmp_path / "data", source=source, **settings))  # type: ignore[arg-type]
    assert manifest.documents == 80
    random_next = 0
    for split in ("train", "held_out"):
        rows = Rows(open_folder(tmp_path / "data", split), 86)
        batch = rows.read(np.arange(len(rows)))
        labels = set(np.unique(batch.next_sentence_labels))
        assert labels == {0, 1}
        tokens = batch.input_ids.copy()
        for row, places, ids in zip(tokens, batch.masked_lm_positions, batch.masked_lm_ids):
            row[places[ids > 0]] = ids[ids > 0]
        for row, segments, label in zip(tokens, batch.segment_ids, batch.next_sentence_labels):
            first = {int(token) for token in row[segments == 0] if token >= 6}
            second = {int(token) for token in row[segments == 1] if token >= 6}
            if len(first) == len(second) == 1:
                assert (first != second) == bool(label)
                random_next += int(label)
    assert random_next > 150
    with pytest.raises(DataError, match=r"shard 0 of 80 has . training documents, .* set fewer shards"):
        prepare(PrepareConfig(tmp_path / "other", source=source, shards=80, **settings))  # type: ignore[arg-type]


def test_one_file_is_work_for_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_folder: Path) -> None:
    """One large text file becomes several files of rows, also in the held-out split."""
    monkeypatch.setattr("bert_thor.data.text.corpus._LARGE", 2000)
    monkeypatch.setattr("bert_thor.data.text.corpus._PIECE", 1000)
    monkeypatch.setattr("bert_thor.data.text.corpus._SMALL", 500)
    monkeypatch.setattr("bert_thor.data.prepare.split._HELD_OUT_BYTES", 1000)
    manifest = prepare(
        PrepareConfig(
            tmp_path / "data",
            source=(str(text_folder / "wiki-0.txt"),),
            vocab_size=100,
            max_seq_length=32,
            held_out_fraction=0.4,
            workers=2,
        )
    )
    files = [entry.path.split("/")[0] for entry in manifest.files]
    assert files.count("train") >= 5 and files.count("held_out") >= 2
    assert all(entry.rows > 0 for entry in manifest.files[:-2])


def test_sources_of_every_form_give_the_same_rows(tmp_path: Path, text_folder: Path) -> None:
    """The same articles as sentences, JSON lines and WikiExtractor's output, packed in three ways."""
    articles = [article.split("\n") for article in (text_folder / "wiki-0.txt").read_text().strip().split("\n\n")]
    articles = [[sentence.capitalize() for sentence in article] for article in articles]
    sentences = "".join("\n".join(article) + "\n\n" for article in articles).encode()
    objects = "".join(json.dumps({"id": 1, "body": " ".join(article)}) + "\n" for article in articles).encode()
    pages = "".join(f'<doc id="1" title="T">\nT\n\n{" ".join(article)}\n</doc>\n' for article in articles).encode()
    rows = []
    for name, content in (
        ("a.txt", sentences),
        ("a.txt.bz2", bz2.compress(sentences)),
        ("a.jsonl.zst", zstandard.ZstdCompressor().compress(objects)),
        ("wiki_00.gz", gzip.compress(pages)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(content)
        settings = {
            "text_field": "body",
            "vocab_size": 100,
            "max_seq_length": 32,
            "held_out_fraction": 0.0,
            "workers": 1,
        }
        prepare(PrepareConfig(folder / "data", source=(str(folder / name),), **settings))  # type: ignore[arg-type]
        rows.append(digests(folder / "data")["train/part-00000-of-00001.tfrecord"])
    assert len(set(rows)) == 1


@pytest.mark.parametrize(
    ("pieces", "cased", "warning"),
    (
        (("the", "The"), False, "the vocabulary has capitals, but the text is lower-cased"),
        (("the", "a"), True, "the vocabulary has no capitals, but the text keeps them"),
        (("the", "The"), True, None),
        (("the", "a"), False, None),
    ),
)
def test_a_vocabulary_of_the_other_case_is_a_warning(
    pieces: tuple[str, ...], cased: bool, warning: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("The the\nthe The\n\n" * 8)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "[unused1]", *pieces]))
    settings = {"vocab_file": tmp_path / "vocab.txt", "max_seq_length": 16, "cased": cased, "workers": 1}
    manifest = prepare(PrepareConfig(tmp_path / "data", source=(str(tmp_path / "a.txt"),), **settings))  # type: ignore[arg-type]
    assert manifest.cased == cased
    stderr = capfd.readouterr().err
    assert (f"warning: {warning}" in stderr) if warning else "warning" not in stderr
    rows = Rows(open_folder(tmp_path / "data"), len(pieces) + 6)
    tokens = set(np.unique(rows.read(np.arange(len(rows))).masked_lm_ids)) - {0}
    assert tokens == ({6, 7} if pieces[1] == "The" and cased else {1, 6} if cased else {6})


def test_whole_words_are_masked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(["abc a\nabc\na abc"] * 30))
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "a", "##b", "##c"]))
    settings = {"vocab_file": tmp_path / "vocab.txt", "max_seq_length": 32, "masked_lm_prob": 0.5, "workers": 1}
    for whole in (False, True):
        output = tmp_path / f"data-{whole}"
        config = PrepareConfig(output, source=(str(tmp_path / "a.txt"),), whole_word_mask=whole, **settings)  # type: ignore[arg-type]
        assert prepare(config).whole_word_mask == whole
        rows = Rows(open_folder(output), 8)
        batch = rows.read(np.arange(len(rows)))
        counts = np.bincount(batch.masked_lm_ids[batch.masked_lm_weights > 0], minlength=8)
        assert (counts[6] == counts[7]) == whole


def test_an_over_long_line_is_a_warning_with_its_number(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("\n".join(["One of many.", "", "This is one. " * 3000, ""] * 5))
    settings = {"vocab_size": 64, "max_seq_length": 32, "held_out_fraction": 0.0, "workers": 1}
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "this", "is", "one", "."]))
    settings["vocab_file"] = tmp_path / "vocab.txt"
    manifest = prepare(PrepareConfig(tmp_path / "data", source=(str(tmp_path / "a.txt"),), **settings))  # type: ignore[arg-type]
    stderr = capfd.readouterr().err
    assert "a.txt: line 3 has 38999 characters; it was cut into sentences" in stderr
    assert "warning: 2 more lines are too long." in stderr
    assert manifest.train_rows > 5 * 3000 * 4 / 40


@pytest.mark.parametrize("length", (128, 512))
def test_packed_rows_are_full(length: int, tmp_path: Path) -> None:
    """By the published rules more than a twentieth of the positions and of the prediction slots is empty."""
    (tmp_path / "a.txt").write_text(synthetic_text(200, seed=3))
    filled = {}
    for pack in (False, True):
        output = tmp_path / f"data-{pack}"
        settings = {"vocab_size": 200, "max_seq_length": length, "pack": pack, "workers": 1}
        manifest = prepare(PrepareConfig(output, source=(str(tmp_path / "a.txt"),), **settings))  # type: ignore[arg-type]
        assert manifest.pack == pack
        rows = Rows(open_folder(output), 200)
        batch = rows.read(np.arange(len(rows)))
        filled[pack] = float(batch.input_mask.mean()), float(batch.masked_lm_weights.mean())
        assert 0.4 < batch.next_sentence_labels.mean() < 0.8
    assert min(filled[True]) > 0.99
    assert max(filled[False]) < 0.95


def synthetic_text(documents: int, seed: int) -> str:
    """Documents of 100 to 1,500 words."""
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdefgh", k=generator.randint(1, 4))) for _ in range(300)]
    texts = []
    for _ in range(documents):
        lengths = [generator.randint(5, 25) for _ in range(generator.randint(20, 60))]
        texts.append("\n".join(" ".join(generator.choices(words, k=length)) for length in lengths))
    return "\n\n".join(texts)


def test_a_vocabulary_is_trained_on_the_most_frequent_words(
    tmp_path: Path, text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many different words there are, memory holds a fixed number of them."""
    trained: list[int] = []
    train = pipeline.train_vocabulary

    def watched(counts: dict[str, int], size: int, cased: bool) -> Vocabulary:
        trained.append(len(counts))
        return train(counts, size, cased)

    monkeypatch.setattr(pipeline, "_TRAINED_WORDS", 150)
    monkeypatch.setattr(pipeline, "train_vocabulary", watched)
    settings = {"vocab_size": 80, "max_seq_length": 32, "shards": 3, "workers": 1}
    prepare(PrepareConfig(tmp_path / "data", source=(str(text_folder),), **settings))  # type: ignore[arg-type]
    assert trained == [150]
