"""precondition: G^-1 dW A^-1 with packed blocks of any edges, tails included."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded, misaligned
from scipy.linalg import block_diag

from bert_thor.kernels.precondition import native, reference
from bert_thor.kernels.precondition.cases import SMALL
from bert_thor.kernels.status import Status

UNIT = 2.0**-24  # unit roundoff of fp32


def problem(shape: tuple[int, int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    outputs, inputs, bg, ba = shape
    rng = np.random.default_rng(seed)
    sizes = [(-(-outputs // bg), bg, bg), (outputs, inputs), (-(-inputs // ba), ba, ba)]
    g_inverse, gradient, a_inverse = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    return g_inverse, gradient, a_inverse


def dense(packed: np.ndarray, side: int) -> np.ndarray:
    return block_diag(*packed.astype(np.float64))[:side, :side]


def assert_product(out: np.ndarray, g_inverse: np.ndarray, gradient: np.ndarray, a_inverse: np.ndarray) -> None:
    outputs, inputs = gradient.shape
    left, middle, right = dense(g_inverse, outputs), gradient.astype(np.float64), dense(a_inverse, inputs)
    bound = UNIT * (g_inverse.shape[1] + a_inverse.shape[1] + 2) * (np.abs(left) @ np.abs(middle) @ np.abs(right))
    assert (np.abs(out - left @ middle @ right) <= bound).all()


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_reference_is_the_definition(shape: tuple[int, int, int, int]) -> None:
    assert_product(reference.precondition(*problem(shape)), *problem(shape))


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for shape in SMALL:
        arrays = [misaligned(array, offset) for array in problem(shape)]
        out = Guarded(shape[:2], np.float32, offset)
        assert native.precondition(*arrays, out=(out.array,)) is out.array
        out.assert_intact()
        assert_product(out.array, *arrays)


def test_what_lies_past_the_last_row_is_not_read(instruction_set: int) -> None:
    g_inverse, gradient, a_inverse = problem((40, 50, 32, 32))
    expected = native.precondition(g_inverse, gradient, a_inverse)
    for packed, valid in ((g_inverse, 8), (a_inverse, 18)):
        packed[1, valid:] = np.nan
        packed[1, :, valid:] = np.nan
    assert (native.precondition(g_inverse, gradient, a_inverse) == expected).all()


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    for shape in [(300, 260, 64, 128), (700, 33, 700, 33), (100, 500, 100, 50), (500, 33, 1, 33), (33, 500, 33, 1)]:
        arrays = problem(shape)
        alone = native.precondition(*arrays, threads=1)
        for threads in (2, 3, 7):
            assert (native.precondition(*arrays, threads=threads) == alone).all()


def test_entry_point_of_the_framework(instruction_set: int) -> None:
    arrays = problem((70, 50, 32, 24))
    out = Guarded((70, 50), np.float32, 1)
    assert aot.call("precondition", *arrays, out.array) == Status.OK
    out.assert_intact()
    assert (out.array == native.precondition(*arrays)).all()


def test_identities_change_nothing(instruction_set: int) -> None:
    gradient = problem((45, 37, 16, 16))[1]
    identity = np.broadcast_to(np.eye(16, dtype=np.float32), (3, 16, 16)).copy()
    assert (native.precondition(identity, gradient, identity) == gradient).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_gradient(instruction_set: int, shape: tuple[int, int]) -> None:
    blocks = [np.ones((-(-side // 4), 4, 4), np.float32) for side in shape]
    assert native.precondition(blocks[0], np.empty(shape, np.float32), blocks[1]).shape == shape


@pytest.mark.parametrize(
    ("g_shape", "shape", "a_shape", "sentence"),
    [
        ((2, 4, 4), (8,), (2, 4, 4), "outputs, inputs"),
        ((2, 4, 4), (9, 8), (2, 4, 4), "g_inverse has 2 blocks of edge 4; 9 outputs need 3"),
        ((2, 4, 4), (8, 9), (2, 4, 4), "a_inverse has 2 blocks of edge 4; 9 inputs need 3"),
        ((2, 4, 3), (8, 8), (2, 4, 4), "g_inverse has shape"),
        ((2, 4, 4), (8, 8), (4, 4), "a_inverse has shape"),
        ((2, 0, 0), (8, 8), (2, 4, 4), "edge >= 1"),
    ],
)
def test_bad_shapes_get_a_sentence(
    g_shape: tuple[int, ...], shape: tuple[int, ...], a_shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        native.precondition(*(np.zeros(size, np.float32) for size in (g_shape, shape, a_shape)))


def test_bad_entry_arguments_get_a_status() -> None:
    g_inverse, gradient, a_inverse = problem((8, 6, 4, 3))
    out = np.full((8, 6), np.nan, np.float32)
    cases = [
        ((g_inverse, gradient, a_inverse), Status.BAD_ARGUMENT_COUNT),
        ((g_inverse, gradient.astype(np.float64), a_inverse, out), Status.BAD_DTYPE),
        ((g_inverse[:1], gradient, a_inverse, out), Status.BAD_BLOCK),
        ((g_inverse, gradient, a_inverse[:1], out), Status.BAD_BLOCK),
        ((g_inverse[:, :, :3], gradient, a_inverse, out), Status.BAD_BLOCK),
        ((g_inverse, gradient, a_inverse, out[:, :5]), Status.BAD_SHAPE),
        ((g_inverse[0], gradient, a_inverse, out), Status.BAD_SHAPE),
    ]
    for tensors, status in cases:
        assert aot.call("precondition", *tensors) == status
    shapes = [tensor.shape for tensor in (g_inverse, gradient, a_inverse, out)]
    assert aot.call("precondition", None, gradient, a_inverse, out, shapes=shapes) == Status.NULL_POINTER
    assert np.isnan(out).all(), "written before the arguments were checked"


@pytest.mark.long
@pytest.mark.parametrize(
    "shape", [(1024, 1024, 128, 128), (1000, 777, 512, 255), (1024, 512, 1024, 512), (769, 1025, 768, 1024)], ids=str
)
def test_the_shapes_of_bert(instruction_set: int, shape: tuple[int, int, int, int]) -> None:
    arrays = problem(shape)
    assert_product(native.precondition(*arrays), *arrays)
