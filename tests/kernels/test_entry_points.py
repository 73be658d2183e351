"""What an entry point says of types and shapes, asked without tensors."""

from __future__ import annotations

import pytest

from bert_thor.kernels.entry_points import FEW_ELEMENTS, check_types
from bert_thor.kernels.library import library_path
from bert_thor.kernels.status import KernelError, Status

X, ROWS, FEATURES, ONE = ("float32", (1 << 20, 768)), ("float32", (1 << 20,)), ("float32", (768,)), ("float32", (1,))
NARROW = ("bfloat16", (1 << 20, 768))


@pytest.mark.parametrize("x", [X, NARROW])
def test_what_fits_is_taken(x: tuple[str, tuple[int, ...]]) -> None:
    """Tensors of 3 GB, which nobody makes."""
    check_types("layer_norm", x, FEATURES, FEATURES, ONE, x, ROWS, ROWS)
    check_types("layer_norm_grad", x, x, FEATURES, ROWS, ROWS, x, FEATURES, FEATURES)


@pytest.mark.parametrize(
    ("place", "tensor", "status"),
    [
        (0, ("float64", X[1]), Status.BAD_DTYPE),
        (6, ("float16", ROWS[1]), Status.BAD_DTYPE),
        (1, ("float32", (767,)), Status.BAD_SHAPE),
        (3, ("float32", (2,)), Status.BAD_SHAPE),
        (4, NARROW, Status.BAD_DTYPE),
        (5, ("float32", (3,)), Status.BAD_SHAPE),
        (0, ("float32", (1 << 62, 768)), Status.BAD_SIZE),
    ],
)
def test_what_does_not_fit_is_refused(place: int, tensor: tuple[str, tuple[int, ...]], status: Status) -> None:
    tensors = [X, FEATURES, FEATURES, ONE, X, ROWS, ROWS]
    tensors[place] = tensor
    with pytest.raises(KernelError, match="layer_norm: ") as refused:
        check_types("layer_norm", *tensors)
    assert refused.value.status == status
    with pytest.raises(KernelError) as refused:
        check_types("layer_norm", *tensors[:-1])
    assert refused.value.status == Status.BAD_ARGUMENT_COUNT


def test_a_small_problem_is_run_on_zeros() -> None:
    """Every tensor is small enough to be there; a value out of its range is no matter of types."""
    few, scalar = ("float32", (2, FEW_ELEMENTS // 2)), ("float32", (1,))
    check_types("factor_average", ("float32", (1, 4, 4)), ("float32", (1, 4, 4)), scalar, scalar, ("float32", (2,)))
    check_types(
        "layer_norm", few, ("float32", (8,)), ("float32", (8,)), scalar, few, ("float32", (2,)), ("float32", (2,))
    )


def test_the_library_and_python_agree_on_few_elements() -> None:
    """With fewer zeros than an entry point may read, it would read past them."""
    header = library_path().parent / "common" / "aot.h"
    assert f"kFewElements = {FEW_ELEMENTS};" in header.read_text()
