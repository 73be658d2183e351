"""What a run was trained on, kept in its own folder: vocab.txt, and data.json with where the data lay and the digests of both."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional

from bert_thor.data.records.folder import DataFolder
from bert_thor.data.records.manifest import MANIFEST
from bert_thor.data.text.vocabulary import read_vocabulary
from bert_thor.errors import CheckpointError, ConfigError
from bert_thor.files import read_json_object, replace_bytes, write_json

VOCABULARY, RUN_DATA = "vocab.txt", "data.json"


@dataclass(frozen=True)
class RunData:
    """The contents of data.json; None: not known."""

    data: Optional[str] = None
    """Absolute path of the data."""
    data_sha256: Optional[str] = None
    """`data_digest` of the data."""
    vocabulary_sha256: Optional[str] = None
    """SHA-256 of vocab.txt in the run's folder."""
    cased: Optional[bool] = None
    """Whether the text kept its capitals."""
    earlier_sha256: tuple[str, ...] = ()
    """Digests of the data that the run was trained on before, if that changed."""


def describe_data(folder: DataFolder) -> RunData:
    """What a run on this data has to remember, except for the vocabulary."""
    cased = folder.manifest.cased if folder.manifest is not None else None
    return RunData(str(folder.path.absolute()), data_digest(folder), cased=cased)


def data_digest(folder: DataFolder) -> str:
    """SHA-256 of the manifest, which names every file with its own; of other data, of the files' names and sizes."""
    if folder.manifest is not None:
        return hashlib.sha256((folder.path / MANIFEST).read_bytes()).hexdigest()
    facts = "".join(f"{file.name}\t{file.stat().st_size}\n" for file in folder.files)
    return hashlib.sha256(facts.encode()).hexdigest()


def vocabulary_of(data: Path) -> Optional[Path]:
    """The vocabulary that lies beside the rows, where there is one."""
    path = (data if data.is_dir() else data.parent) / VOCABULARY
    return path if path.is_file() else None


def write_run_data(run: Path, facts: RunData, vocabulary: Optional[Path]) -> None:
    """Write data.json, and a copy of the vocabulary with its digest where there is one, into the existing folder `run`."""
    digest = None
    if vocabulary is not None:
        content = vocabulary.read_bytes()
        replace_bytes(run / VOCABULARY, content)
        digest = hashlib.sha256(content).hexdigest()
    write_json(run / RUN_DATA, asdict(replace(facts, vocabulary_sha256=digest)))


def read_run_data(run: Path) -> RunData:
    """What `write_run_data` wrote; nothing is known of a run that has no data.json. Errors: `ConfigError`."""
    path = run / RUN_DATA
    if not path.exists():
        return RunData()
    stored = read_json_object(path, ConfigError)
    kinds: dict[str, type] = {"data": str, "data_sha256": str, "vocabulary_sha256": str, "cased": bool}
    values: dict[str, Any] = {name: stored.get(name) for name in kinds}
    for name, value in values.items():
        if value is not None and not isinstance(value, kinds[name]):
            raise ConfigError(f"{path} has {name} = {value!r}: {kinds[name].__name__} or null was expected")
    earlier = stored.get("earlier_sha256", [])
    if not isinstance(earlier, list) or not all(isinstance(digest, str) for digest in earlier):
        raise ConfigError(f"{path} has earlier_sha256 = {earlier!r}: a list of digests was expected")
    return RunData(**values, earlier_sha256=tuple(earlier))


def continued(before: RunData, now: RunData) -> RunData:
    """What a run has to remember that began as `before` and goes on with the data `now`."""
    if before.data_sha256 in (None, now.data_sha256):
        return replace(now, earlier_sha256=before.earlier_sha256)
    return replace(now, earlier_sha256=(*before.earlier_sha256, str(before.data_sha256)))


def run_vocabulary(run: Path) -> Optional[Path]:
    """The run's own vocabulary; None where it has none. `CheckpointError` when it is not the one that the run began with."""
    path, expected = run / VOCABULARY, read_run_data(run).vocabulary_sha256
    if not path.is_file():
        if expected is not None:
            raise CheckpointError(f"{path} is missing: restore the vocabulary of SHA-256 {expected}")
        return None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected is not None and found != expected:
        raise CheckpointError(f"{path} has SHA-256 {found}, the run began with {expected}: restore that vocabulary")
    return path


def check_same_vocabulary(one: Optional[Path], other: Optional[Path]) -> None:
    """`ConfigError` when both vocabularies are known and differ: their rows' numbers mean other words."""
    if one is None or other is None or one == other:
        return
    pieces, others = read_vocabulary(one).pieces, read_vocabulary(other).pieces
    if pieces != others:
        first = next(
            (n for n, pair in enumerate(zip(pieces, others)) if pair[0] != pair[1]), min(len(pieces), len(others))
        )
        raise ConfigError(
            f"{one} is another vocabulary than {other} (they differ from piece {first} on): "
            f"prepare the data with --vocab-file {other}"
        )
