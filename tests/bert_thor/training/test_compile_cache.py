"""Compiled graphs are found again by all that they depend on, and stored whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import pytest

import bert_thor.kernels.library
import bert_thor.network.model
import bert_thor.ops.dropout
import bert_thor.optimizer.step
from bert_thor.ops._backend import VARIABLE
from bert_thor.parallel.world import World
from bert_thor.recipes import recipe
from bert_thor.training.compile_cache import SOURCES, cache_key, cached_graphs

RUN = recipe("demo")


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 32},
        {"model": replace(RUN.model, layer_norm_eps=1e-6)},
        {"optimizer": replace(RUN.optimizer, beta1=0.5)},
    ],
)
def test_another_configuration_has_graphs_of_its_own(change: dict[str, Any]) -> None:
    assert cache_key(replace(RUN, **change), World()) != cache_key(RUN, World())


def test_another_backend_has_graphs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for backend in ("auto", "mindspore", "mindspore,layer_norm=cpu"):
        monkeypatch.setenv(VARIABLE, backend)
        keys.add(cache_key(RUN, World()))
    assert len(keys) == 3


def test_every_rank_has_graphs_of_its_own() -> None:
    assert len({cache_key(RUN, world) for world in (World(), World(0, 2), World(1, 2), World(0, 4))}) == 4


def test_another_run_of_the_same_configuration_has_the_same_graphs() -> None:
    assert cache_key(replace(RUN, run=Path("other"), resume=True, log_interval=7), World()) == cache_key(RUN, World())


def test_the_key_covers_the_sources_of_network_optimizer_operators_and_kernels() -> None:
    files = {path for folder in SOURCES for path in folder.rglob("*.py")}
    package = bert_thor
    for module in (package.network.model, package.optimizer.step, package.ops.dropout, package.kernels.library):
        assert Path(str(module.__file__)) in files


def test_a_start_that_fails_stores_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"), cached_graphs(tmp_path / "cache", "key") as found:
        assert not found and ms.get_context("enable_compile_cache")
        raise RuntimeError("stopped")
    assert not list((tmp_path / "cache").iterdir()) and not ms.get_context("enable_compile_cache")
