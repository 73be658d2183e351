"""Compiled graphs that are kept for the next start.

MindSpore stores compiled graphs (`enable_compile_cache`), but finds them again by nothing but the order in which a process compiles, and
does not notice another configuration or another source file of this package: it would run the old graphs. So every combination has a folder
of its own, and graphs are cached only while all of them are compiled in one fixed order.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms

import bert_thor
from bert_thor import kernels, ops
from bert_thor.kernels.library import library_path
from bert_thor.ops._backend import VARIABLE
from bert_thor.parallel.world import World
from bert_thor.recipes import PretrainConfig
from bert_thor.training.run_folder import RESUMABLE_CHANGES, resolved

SOURCES = tuple(Path(str(package.__file__)).parent for package in (bert_thor, ops, kernels))
"""Folders whose every Python file may shape a graph."""


def cache_key(config: PretrainConfig, world: World) -> str:
    """Names all that a graph of training may depend on: configuration, rank, versions, THOR_BACKEND, and the sources of this package."""
    configuration = {name: value for name, value in resolved(config).items() if name not in RESUMABLE_CHANGES}
    backends = os.environ.get(VARIABLE, "")
    facts = [configuration, world.rank, world.ranks, ms.__version__, sys.version, str(library_path()), backends]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


@contextmanager
def cached_graphs(folder: Path, key: str) -> Iterator[bool]:
    """Within, graphs are loaded from `folder` if those of `key` are there (true), and stored there when all are compiled if not."""
    stored = folder / key
    if stored.is_dir():
        with _caching_in(stored):
            yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".compiling-") as temporary:
        with _caching_in(Path(temporary, key)):
            yield False
        try:
            os.rename(Path(temporary, key), stored)
        except OSError:
            if not stored.is_dir():  # otherwise another run has just stored the same
                raise


@contextmanager
def _caching_in(path: Path) -> Iterator[None]:
    ms.set_context(enable_compile_cache=True, compile_cache_path=str(path))
    try:
        yield
    finally:
        ms.set_context(enable_compile_cache=False)
