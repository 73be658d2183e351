"""Poison goes lane by lane: exactly the results that depend on an undefined value are undefined, through every instruction."""

from __future__ import annotations

import re
from typing import Any, Callable

import numpy as np
import pytest
from tik_program import program

from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik

SIZE = 1024
UB = tik.scope_ubuf
Body = Callable[[Any, Any, Any], None]


def undefined(body: Body, dtype: str = "float16", result: str = "") -> tuple[int, int]:
    """(first, number) of the undefined elements that ``body(t, source, out)`` leaves in out; out is 0 before.

    The source holds 0.25 but for element 53, which nothing wrote.
    """
    result = result or dtype

    def kernel(t: Any, y: Any) -> None:
        per_block = 32 // np.dtype(dtype).itemsize
        source = t.Tensor(dtype, (SIZE,), name="source", scope=UB)
        out = t.Tensor(result, (SIZE,), name="out", scope=UB)
        t.vec_dup(8 * per_block, source, 0.25 if dtype[0] == "f" else 1, SIZE // (8 * per_block), 8)
        fresh = t.Tensor(dtype, (per_block,), name="fresh", scope=UB)
        first = 53 // per_block * per_block
        t.data_move(source[first], fresh, 0, 1, 1, 0, 0)
        for lane in range(first, first + per_block):
            if lane != 53:
                source[lane].set_as(0.25 if dtype[0] == "f" else 1)
        out_words = out if result == "float16" else out.reinterpret_cast_to("float16")
        count = SIZE * np.dtype(result).itemsize // 2
        t.vec_dup(128, out_words, 0.0, count // 128, 8)
        body(t, source, out)
        t.data_move(y, out, 0, 1, SIZE * np.dtype(result).itemsize // 32, 0, 0)

    with pytest.raises(errors.PoisonError) as caught:
        program(kernel, {}, {"y": ((SIZE,), result)}).run()
    found = re.search(r"element (\d+) of y .* \((\d+) such\)", str(caught.value))
    assert found is not None
    return int(found.group(1)), int(found.group(2))


def test_moves_and_arithmetic() -> None:
    assert undefined(lambda t, source, out: t.data_move(out, source, 0, 1, 64, 0, 0)) == (53, 1)
    assert undefined(lambda t, source, out: t.vadd(128, out, source, source[64], 1, 1, 1, 1, 8, 8, 8)) == (53, 1)
    assert undefined(lambda t, source, out: t.vconv(64, "none", out, source, 1, 1, 1, 8, 4), "float16", "float32") == (
        53,
        1,
    )


def test_transposes() -> None:
    def rows(t: Any, source: Any, out: Any) -> None:
        t.vnchwconv(False, False, [out[16 * i] for i in range(16)], [source[16 * i] for i in range(16)], 1, 0, 0)

    assert undefined(rows) == ((53 % 16) * 16 + 53 // 16, 1)
    assert undefined(lambda t, source, out: t.vec_trans(out, source, 1, 1, 1)) == ((53 % 16) * 16 + 53 // 16, 1)

    def words(t: Any, source: Any, out: Any) -> None:
        t.vnchwconv(False, False, [out[8 * i] for i in range(16)], [source[8 * i] for i in range(16)], 1, 0, 0)

    assert undefined(words, "float32") == ((53 % 8) * 16 + 53 // 8, 1)


def test_reductions() -> None:
    assert undefined(lambda t, source, out: t.vcadd(128, out, source, 2, 1, 1, 8)) == (0, 1)
    assert undefined(lambda t, source, out: t.vcgmax(128, out, source, 1, 1, 1, 8)) == (53 // 16, 1)
    assert undefined(lambda t, source, out: t.vcpadd(128, out, source, 1, 1, 1, 8)) == (53 // 2, 1)


@pytest.mark.parametrize("register", [False, True])
def test_masks_are_poison_bit_by_bit(register: bool) -> None:
    """Only the lane whose comparison is undefined chooses an undefined value, though 8 lanes share a byte of the mask."""

    def select(t: Any, source: Any, out: Any) -> None:
        mask = t.Tensor("uint8", (32,), name="mask", scope=UB)
        if register:
            chosen = t.vcmp_lt(128, source, source[128], 1, 1)
            t.mov_cmpmask_to_tensor(mask, chosen)
        else:
            t.vec_cmpv_lt(mask, source, source[128], 1, 8, 8)
        t.vec_sel(128, 0, out, mask, source[256], source[512], 1, 8, 8, 8)

    assert undefined(select) == (53, 1)


def test_a_mask_that_is_stored_over_by_something_undefined() -> None:
    def select(t: Any, source: Any, out: Any) -> None:
        mask = t.Tensor("uint16", (16,), name="mask", scope=UB)
        fresh = t.Tensor("uint16", (16,), name="fresh", scope=UB)
        t.vec_cmpv_lt(mask, source, source[128], 1, 8, 8)
        t.data_move(mask, fresh, 0, 1, 1, 0, 0)
        t.vec_sel(128, 0, out, mask, source[256], source[512], 1, 8, 8, 8)

    assert undefined(select) == (0, 128)


def test_proposals_carry_their_poison() -> None:
    """Element 53 is field 5 of proposal 6, which no order depends on; field 4 of it, a score, spoils the group."""
    assert undefined(lambda t, source, out: t.vrpsort16(out, source, 1)) == (53, 1)
    assert undefined(lambda t, source, out: t.vmrgsort4(out, [source, source[128]], (16, 16), False, 3)) == (53, 1)

    def score(t: Any, source: Any, out: Any) -> None:
        t.vconcat(source[256], source[48], 1, 4)
        t.vrpsort16(out, source[256], 1)

    assert undefined(score) == (0, 128)


def test_products() -> None:
    """A poisoned factor spoils one row of the result: row 53 // 16 of the left matrix."""

    def multiply(t: Any, source: Any, out: Any) -> None:
        l1 = t.Tensor("float16", (512,), name="l1", scope=tik.scope_cbuf)
        left, right = (
            t.Tensor("float16", (256,), name=n, scope=s) for n, s in (("a", tik.scope_ca), ("b", tik.scope_cb))
        )
        product = t.Tensor("float32", (256,), name="c", scope=tik.scope_cc)
        t.data_move(l1, source, 0, 1, 32, 0, 0)
        t.load2dv1(left, l1, 0, 1, 1, 0, False)
        t.load2dv1(right, l1, 1, 1, 1, 0, False)
        t.mmad(product, left, right, 16, 16, 16, 0)
        t.data_move(out, product, 0, 1, 1, 0, 0)

    assert undefined(multiply, "float16", "float32") == (53 // 16 * 16, 16)


def test_unwritten_memory_holds_no_number_that_a_kernel_expects() -> None:
    def body(t: Any, y: Any) -> None:
        fresh = t.Tensor("float32", (64,), name="fresh", scope=UB)
        t.data_move(y, fresh, 0, 1, 8, 0, 0)

    copied = program(body, {}, {"y": ((64,), "float32")}).run(ignore=["poison"]).outputs[0]
    assert np.isnan(copied).all() and (copied.view(np.int32) == -1).all()
