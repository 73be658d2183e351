"""A rank that ends without a word is noticed, one that ends in order is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert_thor.errors import ConfigError
from bert_thor.parallel.watch import FINISHED, RankWatch
from bert_thor.parallel.world import World


def test_a_rank_has_failed_when_its_lock_is_free_and_it_said_nothing(tmp_path: Path) -> None:
    ours, theirs = (RankWatch(tmp_path, World(rank, 3)) for rank in (0, 1))
    for watch in (ours, theirs):
        watch.start(lambda: None)
    (tmp_path / "rank-00002.lock").touch()
    assert not ours._failed(1), "it holds its lock"
    assert ours._failed(2), "it holds none"
    (tmp_path / "rank-00002.lock").write_bytes(FINISHED)
    assert not ours._failed(2), "it ended in order"
    with pytest.raises(ConfigError, match="other processes are training"):
        RankWatch(tmp_path, World(1, 3)).start(lambda: None)
    ours.finish()
    theirs.finish()
