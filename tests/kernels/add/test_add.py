"""add: one rounding per element in both types, whatever the size, the alignment and the number of threads."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import call_guarded, from_bf16, to_bf16

from bert_thor.kernels.add import native, reference
from bert_thor.kernels.add.cases import ELEMENTS
from bert_thor.kernels.library import load_native
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32


def pair(n: int) -> list[np.ndarray]:
    """Of sizes that differ by powers of two, so that the sum is rounded."""
    rng = np.random.default_rng(n)
    return [(rng.standard_normal(n) * 2.0 ** rng.integers(-9, 9, n)).astype(F32) for _ in range(2)]


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment_is_the_reference_bit_for_bit(instruction_set: int, offset: int) -> None:
    for n in ELEMENTS:
        a, b = pair(n)
        y = call_guarded(native.add, (a, b), [(n,)], [F32], offset, single=True)[0]
        assert (y == reference.add(a, b)).all()
        a, b = to_bf16(a), to_bf16(b)
        y = call_guarded(native.add, (a, b), [(n,)], [np.uint16], offset, single=True)[0]
        assert (y == to_bf16(from_bf16(a) + from_bf16(b))).all()


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    a, b = pair(100_003)
    alone = native.add(a, b, threads=1)
    for threads in (2, 3, 7):
        assert (native.add(a, b, threads=threads) == alone).all()


def test_the_result_may_replace_an_addend(instruction_set: int) -> None:
    for place in (0, 1):
        arguments = pair(50_001)
        expected = reference.add(*arguments)
        assert (native.add(*arguments, out=(arguments[place],)) == expected).all()


def test_what_is_not_finite_stays_in_its_element(instruction_set: int) -> None:
    a, b = F32([np.inf, np.inf, np.nan, -0.0, 1e-40]), F32([-np.inf, 1, 1, -0.0, 1e-40])
    assert (native.add(a, b).view(np.uint32)[[1, 3, 4]] == (a + b).view(np.uint32)[[1, 3, 4]]).all()
    assert np.isnan(native.add(a, b)[[0, 2]]).all()


@pytest.mark.parametrize("name", ["add_f32", "add_bf16"])
def test_a_negative_size(instruction_set: int, name: str) -> None:
    call = getattr(load_native(), name)
    x = np.ones(3, F32 if name == "add_f32" else np.uint16)
    with pytest.raises(KernelError, match="a size is negative"):
        call(x, x, -1, x, 0)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_entry_point_of_the_framework(instruction_set: int, kind: str) -> None:
    stored = np.uint16 if kind == "bfloat16" else F32
    a, b = (to_bf16(x) if kind == "bfloat16" else x for x in (x.reshape(7, 31) for x in pair(217)))
    y = Guarded((7, 31), stored, 1)
    assert aot.call("add", a, b, y.array) == Status.OK
    y.assert_intact()
    assert (y.array == native.add(a, b)).all()
    cases = [
        ((a, b), Status.BAD_ARGUMENT_COUNT),
        ((a, b.astype(np.int32), y.array), Status.BAD_DTYPE),
        ((a, b, y.array.astype(np.int32)), Status.BAD_DTYPE),
        ((a, b[:6], y.array), Status.BAD_SHAPE),
        ((a, b, y.array[:6]), Status.BAD_SHAPE),
    ]
    for arguments, status in cases:
        assert aot.call("add", *arguments) == status
