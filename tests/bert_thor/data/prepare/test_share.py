"""Several machines, each with a share, make what one machine makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bert_thor.cli import main
from bert_thor.data.errors import DataError
from bert_thor.data.prepare import MergeConfig, PrepareConfig, merge, prepare
from bert_thor.data.records.folder import open_folder


def settings(text_folder: Path, **more: Any) -> PrepareConfig:
    options = {"vocab_size": 200, "max_seq_length": 32, "held_out_fraction": 0.2, "shards": 5, "workers": 1, **more}
    return PrepareConfig(Path("none"), source=(str(text_folder),), **options)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def shares(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shares")
    outputs = [folder / f"share-{number}" for number in (1, 2, 3)]
    for number, output in enumerate(outputs, start=1):
        prepare(replace(settings(text_folder), output=output, part=f"{number}/3"))
    return outputs


def test_the_merged_folder_is_that_of_one_machine(shares: list[Path], text_folder: Path, tmp_path: Path) -> None:
    expected = prepare(replace(settings(text_folder), output=tmp_path / "one"))
    merged = merge(MergeConfig(tmp_path / "merged", (shares[2], shares[0], shares[1])))
    assert merged == expected
    assert digests(tmp_path / "merged") == digests(tmp_path / "one")
    assert len([path for path in digests(tmp_path / "merged") if path.startswith("train")]) == 5


def test_every_machine_makes_different_files(shares: list[Path]) -> None:
    made = [{path for path in digests(share) if path.endswith(".tfrecord")} for share in shares]
    assert all(made) and sum(map(len, made)) == len(set().union(*made)) == 6


def test_more_machines_than_files_is_no_mistake(text_folder: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / str(number) for number in range(1, 9)]
    for number, output in enumerate(outputs, start=1):
        prepare(replace(settings(text_folder), output=output, part=f"{number}/8"))
    assert merge(MergeConfig(tmp_path / "merged", tuple(outputs))) == prepare(
        replace(settings(text_folder), output=tmp_path / "one")
    )


def test_missing_repeated_and_foreign_shares_are_refused(
    shares: list[Path], text_folder: Path, prepared: tuple[Path, object], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    prepare(replace(settings(text_folder, seed=2), output=other, part="2/3"))
    for parts, reason in (
        ((), "there are no shares to merge"),
        (shares[:2], "share 3 of 3 is missing"),
        ((*shares, shares[0]), "given twice: 4 folders for 3 shares"),
        ((shares[0], other, shares[2]), "were made with different options or of different text"),
        ((prepared[0],), r"holds no share \(share.json: No such file"),
    ):
        with pytest.raises(DataError, match=reason):
            merge(MergeConfig(tmp_path / "merged", tuple(parts)))
        assert not (tmp_path / "merged").exists()


def test_a_damaged_share_is_refused(shares: list[Path], text_folder: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    prepare(replace(settings(text_folder), output=share, part="1/1"))
    description = (share / "share.json").read_text()
    (share / "share.json").write_text(description[:-10])
    with pytest.raises(DataError, match=r"share\.json is damaged"):
        merge(MergeConfig(tmp_path / "merged", (share,)))
    (share / "share.json").write_text(json.dumps({**json.loads(description), "manifest": {}}))
    with pytest.raises(DataError, match=r"share\.json is damaged"):
        merge(MergeConfig(tmp_path / "merged", (share,)))
    (share / "share.json").write_text(description)
    with open(share / "train" / "part-00000-of-00005.tfrecord", "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"does not have the .* bytes that it was written with"):
        merge(MergeConfig(tmp_path / "merged", (share,)))
    assert not (tmp_path / "merged").exists()


def test_a_share_alone_is_not_data(shares: list[Path]) -> None:
    with pytest.raises(
        DataError, match="share-1 is a share of a preparation; make data of all of them with `bert-thor merge`"
    ):
        open_folder(shares[0])


def test_the_command_line_merges(shares: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(share) for share in shares]
    assert main(["merge", "--output", str(tmp_path / "merged"), "--parts", *paths]) == 0
    assert (tmp_path / "merged" / "manifest.json").exists()
    assert main(["merge", "--output", str(tmp_path / "other"), "--parts", *paths[:2]]) == 1
    assert capsys.readouterr().err.startswith("error: share 3 of 3 is missing")
