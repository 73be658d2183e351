"""What every wrapper of a kernel asks of its arrays, and how it makes the ones that it returns."""

from __future__ import annotations

import numpy as np
import pytest

from bert_thor.kernels.arrays import CACHE_LINE, check_array, elements_of_parts, empty_array, make_outputs
from bert_thor.kernels.parts import scaled_parts

F32 = np.float32


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (7, 5), (64, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int64])
def test_new_arrays_start_at_a_cache_line(shape: tuple[int, ...], dtype: type) -> None:
    for _ in range(8):  # malloc is not aligned that often by chance
        array = empty_array(shape, dtype)
        assert array.ctypes.data % CACHE_LINE == 0 or array.size == 0
        assert array.shape == shape and array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable


def test_new_arrays_do_not_share_memory() -> None:
    one, two = make_outputs("operation", None, ((5,), (5,)), (F32, F32))
    assert not np.shares_memory(one, two)


def test_given_outputs_are_written_into() -> None:
    given = np.empty(4, F32)
    assert make_outputs("operation", (given,), ((4,),), (F32,))[0] is given


@pytest.mark.parametrize(
    ("array", "error", "sentence"),
    [
        ([1.0], TypeError, "x is a list; pass a NumPy array"),
        (np.ones(3), TypeError, "element type float64; cast it to float32"),
        (np.ones(4, F32), ValueError, r"shape \(4,\); pass shape \(3,\)"),
        (np.ones(6, F32)[::2], ValueError, "not C-contiguous"),
    ],
)
def test_an_array_that_does_not_fit(array: np.ndarray, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        check_array("operation", "x", array, (F32,), (3,))


def test_outputs_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="out has 1 arrays; pass 2"):
        make_outputs("operation", (np.empty(3, F32),), ((3,), (3,)), (F32, F32))
    locked = np.empty(3, F32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=r"out\[0\] is read-only"):
        make_outputs("operation", (locked,), ((3,),), (F32,))


def test_parts_divide_the_elements() -> None:
    assert elements_of_parts("operation", "x", np.empty((3, 4), F32), np.ones(6, F32)) == (6, 2)
    assert elements_of_parts("operation", "x", np.empty(0, F32), np.ones(2, F32)) == (2, 0)


@pytest.mark.parametrize("factors", [np.ones(0, F32), np.ones(5, F32), np.ones((1, 3), F32)])
def test_parts_that_do_not_divide_the_elements(factors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="where parts divides the 12 elements of x"):
        elements_of_parts("operation", "x", np.empty((3, 4), F32), factors)


def test_each_part_times_its_factor() -> None:
    assert (scaled_parts([[1, 2], [3, 4]], [10, 0.5]) == [[10, 20], [1.5, 2]]).all()
