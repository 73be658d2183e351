"""What tests of all folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_data import prepare_small


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with 100 word pieces at most, sequences of 32 tokens."""
    return prepare_small(tmp_path_factory.mktemp("prepared"))
