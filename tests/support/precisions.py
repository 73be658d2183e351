"""What tests need of the line of MindSpore: 2.0 has no bfloat16."""

from __future__ import annotations

import mindspore as ms
import pytest

from bert_thor.precision import PRECISIONS, Precision

AVAILABLE: tuple[Precision, ...] = tuple(name for name in PRECISIONS if hasattr(ms, name))
needs_bfloat16 = pytest.mark.skipif("bfloat16" not in AVAILABLE, reason=f"MindSpore {ms.__version__} has no bfloat16")
