"""The types that a run may compute in, by name."""

from __future__ import annotations

from typing import get_args

from typing_extensions import Literal

Precision = Literal["float32", "float16", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Of an element."""
