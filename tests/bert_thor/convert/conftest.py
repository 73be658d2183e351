"""What the tests of conversions share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from foreign_checkpoint import fixture_weights, write_huggingface_folder


@pytest.fixture(scope="session")
def stored() -> dict[str, np.ndarray]:
    """The weights of a BertForPreTraining as `transformers` saves them."""
    return fixture_weights()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder as `transformers` saves it."""
    return write_huggingface_folder(tmp_path / "huggingface")
