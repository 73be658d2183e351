"""What tests of all folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_data import prepare_small

from bert_thor.cli import end_before_mindspore

_status = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    end_before_mindspore(config.stash.get(_status, 1))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with 100 word pieces at most, sequences of 32 tokens."""
    return prepare_small(tmp_path_factory.mktemp("prepared"))
