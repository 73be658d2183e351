"""embedding: rows by index; the table's gradient adds rows in their order."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS
from comparison import (
    UNIT,
    assert_entry_point,
    assert_entry_point_refuses,
    assert_within,
    call_guarded,
    from_bf16,
    to_bf16,
)

from bert_thor.kernels.embedding import native, reference
from bert_thor.kernels.embedding.cases import SIZES
from bert_thor.kernels.status import Status

F32 = np.float32


def problem(vocabulary: int, rows: int, features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """table, ids, dy."""
    rng = np.random.default_rng(vocabulary + rows)
    table, dy = (rng.standard_normal((n, features)).astype(F32) for n in (vocabulary, rows))
    return table, rng.integers(0, vocabulary, rows).astype(np.int32), dy


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(offset: int) -> None:
    for rows, vocabulary, features in SIZES:
        table, ids, dy = problem(vocabulary, rows, features)
        y = call_guarded(native.embedding, (table, ids), [dy.shape], [F32], offset, single=True)[0]
        assert (y == reference.embedding(table, ids)).all()
        dtable = call_guarded(native.embedding_grad, (dy, ids, vocabulary), [table.shape], [F32], offset, single=True)[
            0
        ]
        size = reference.embedding_grad(np.abs(dy), ids, vocabulary)
        assert_within(dtable, reference.embedding_grad(dy, ids, vocabulary), UNIT * (rows + 1) * size)


@pytest.mark.parametrize("offset", OFFSETS)
def test_bfloat16_is_float32_rounded_once(instruction_set: int, offset: int) -> None:
    for rows, vocabulary, features in SIZES:
        table, ids, dy = problem(vocabulary, rows, features)
        narrow = call_guarded(native.embedding, (table, ids, True), [dy.shape], [np.uint16], offset, single=True)[0]
        assert (narrow == to_bf16(table[ids])).all()
        bits = to_bf16(table)
        copied = call_guarded(native.embedding, (bits, ids), [dy.shape], [np.uint16], offset, single=True)[0]
        assert (copied == bits[ids]).all()
        dy = to_bf16(dy)
        exact = native.embedding_grad(from_bf16(dy), ids, vocabulary)
        wide = call_guarded(native.embedding_grad, (dy, ids, vocabulary), [table.shape], [F32], offset, single=True)[0]
        assert (wide == exact).all()
        arguments = (dy, ids, vocabulary, True)
        narrow = call_guarded(native.embedding_grad, arguments, [table.shape], [np.uint16], offset, single=True)[0]
        assert (narrow == to_bf16(exact)).all()


def test_bfloat16_sums_are_float32(instruction_set: int) -> None:
    """512 + 1 is 512 in bfloat16: 256 times 1 more must arrive."""
    dy = to_bf16(np.ones((257, 1), F32))
    dy[0] = to_bf16(F32([512]))
    ids = np.zeros(257, np.int32)
    assert from_bf16(native.embedding_grad(dy, ids, 2, True)).tolist() == [[768.0], [0.0]]


def test_rows_of_an_id_are_added_in_their_order(instruction_set: int) -> None:
    """1 + 2^25 is 2^25 in float32: backwards the 1 would come last, and stay."""
    dy, ids = to_bf16(F32([[1], [2.0**25], [-(2.0**25)]])), np.zeros(3, np.int32)
    for narrow in (False, True):
        assert native.embedding_grad(dy, ids, 1, narrow, threads=1)[0, 0] == 0


def test_same_bits_for_any_number_of_threads_in_bfloat16() -> None:
    _, ids, dy = problem(3000, 5000, 20)
    dy = to_bf16(dy)
    alone = [native.embedding_grad(dy, ids, 3000, narrow, threads=1) for narrow in (False, True)]
    for threads in (2, 3, 7):
        for narrow in (False, True):
            assert (native.embedding_grad(dy, ids, 3000, narrow, threads=threads) == alone[narrow]).all()


def test_entry_points_in_bfloat16() -> None:
    table, ids, dy = problem(30, 50, 12)
    dy, bits = to_bf16(dy), to_bf16(table)
    assert_entry_point("embedding", (table, ids), (native.embedding(table, ids, True),))
    assert_entry_point("embedding", (bits, ids), (bits[ids],))
    for table_of_any, narrow in ((table, False), (bits, True)):
        dtable = native.embedding_grad(dy, ids, 30, narrow)
        assert_entry_point("embedding_grad", (dy, ids, table_of_any), (dtable,))
    assert_entry_point_refuses("embedding_grad", (dy, ids, bits), (dtable,))
    assert aot.call("embedding", bits, ids, table[ids]) == Status.BAD_DTYPE
    assert aot.call("embedding_grad", table[ids], ids, bits, bits.copy()) == Status.BAD_DTYPE


def test_same_bits_for_any_number_of_threads() -> None:
    table, ids, dy = problem(3000, 5000, 20)
    alone = native.embedding(table, ids, threads=1), native.embedding_grad(dy, ids, 3000, threads=1)
    for threads in (2, 3, 7):
        assert (native.embedding(table, ids, threads=threads) == alone[0]).all()
        assert (native.embedding_grad(dy, ids, 3000, threads=threads) == alone[1]).all()


def test_rows_are_added_in_their_order() -> None:
    """1e8 - 1e8 + 1 is 1 in this order, and 0 wherever the 1 does not come last."""
    dy = F32([[1e8], [-1e8], [1]])
    assert native.embedding_grad(dy, np.int32([2, 2, 2]), 4).tolist() == [[0.0], [0.0], [1.0], [0.0]]


def test_entry_points_of_the_framework() -> None:
    table, ids, dy = problem(30, 50, 12)
    y, dtable = native.embedding(table, ids), native.embedding_grad(dy, ids, 30)
    assert_entry_point("embedding", (table, ids), (y,))
    assert_entry_point("embedding_grad", (dy, ids, table), (dtable,))
    assert_entry_point_refuses("embedding_grad", (dy, ids, table), (dtable,))


@pytest.mark.parametrize("bad", [-1, 30])
def test_ids_outside_the_table_are_refused(bad: int) -> None:
    table, ids, dy = problem(30, 50, 12)
    y, dtable = np.full_like(dy, np.nan), np.full_like(table, np.nan)
    ids[49] = bad
    assert aot.call("embedding", table, ids, y) == Status.BAD_VALUE
    assert aot.call("embedding_grad", dy, ids, table, dtable) == Status.BAD_VALUE
    assert np.isnan(y).all() and np.isnan(dtable).all()
    with pytest.raises(ValueError, match=rf"id {bad} is outside \[0, 30\)"):
        native.embedding(table, ids)


def test_bad_entry_arguments_get_a_status() -> None:
    table, ids, dy = problem(30, 50, 12)
    y = np.empty_like(dy)
    cases = [
        ((table, ids), Status.BAD_ARGUMENT_COUNT),
        ((table, ids.astype(F32), y), Status.BAD_DTYPE),
        ((table, ids[:49], y), Status.BAD_SHAPE),
        ((table[:, :11].copy(), ids, y), Status.BAD_SHAPE),
        ((table[:, :0].copy(), ids, y[:, :0].copy()), Status.BAD_SIZE),
    ]
    for tensors, status in cases:
        assert aot.call("embedding", *tensors) == status
