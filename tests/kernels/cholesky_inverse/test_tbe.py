"""cholesky_inverse on Ascend 910, in the interpreter: any edge, any number of blocks, every status, accuracy, and cycles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tbe_kernels
from scipy.linalg import lapack

from bert_thor.kernels import davinci
from bert_thor.kernels.cholesky_inverse.cases import ASCEND
from bert_thor.kernels.cholesky_inverse.reference import cholesky_inverse
from bert_thor.kernels.cholesky_inverse.tiling import tile

MODULE = tbe_kernels.load("cholesky_inverse")
KERNELS = ("cholesky_inverse", "cholesky_inverse_vector")
UNIT = 2.0**-24
LARGE = 3456  # blocks of 128 x 128 in BERT-Large


def covariance(blocks: int, edge: int, seed: int = 0) -> np.ndarray:
    """Sample covariances of 2 edge + 8 standard normal rows: condition about 40, exactly symmetric."""
    x = np.random.default_rng(seed).standard_normal((blocks, 2 * edge + 8, edge))
    return (x.transpose(0, 2, 1) @ x / x.shape[1]).astype(np.float32)


def program(kernel: str, blocks: int, edge: int, cores: int) -> davinci.Program:
    square = ((blocks, edge, edge), "float32")
    vector, status = ((blocks,), "float32"), ((blocks, 8), "int32")
    return tbe_kernels.trace(getattr(MODULE, kernel), square, vector, square, status, cores=cores)


def timed(kernel: str, c: np.ndarray, damping: np.ndarray, cores: int = 32) -> davinci.Result:
    return program(kernel, *c.shape[:2], cores).run(c, damping.astype(np.float32))


def invert(kernel: str, c: np.ndarray, damping: np.ndarray, cores: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """The inverses and the statuses."""
    inverse, status = timed(kernel, c, damping, cores).outputs
    assert (status == status[:, :1]).all()
    return inverse, status[:, 0]


def spot03(c: np.ndarray, damping: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """LAPACK's ratio || I - A A^-1 ||_1 / (n || A ||_1 || A^-1 ||_1 unit) per block, with A = C + damping I."""
    n = c.shape[1]
    a = c.astype(np.float64) + np.asarray(damping, np.float64).reshape(-1, 1, 1) * np.eye(n)
    inverse = inverse.astype(np.float64)
    norms = np.abs(a).sum(1).max(1) * np.abs(inverse).sum(1).max(1)
    return np.abs(np.eye(n) - a @ inverse).sum(1).max(1) / (n * norms * UNIT)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("blocks", "edge"), ASCEND)
def test_every_edge_and_number_of_blocks(kernel: str, blocks: int, edge: int) -> None:
    c, damping = covariance(blocks, edge, edge), np.random.default_rng(edge).choice([0, 0.01, 2], blocks)
    for cores in tbe_kernels.CORES:
        inverse, status = invert(kernel, c, damping, cores)
        assert (status == 0).all()
        assert (inverse == inverse.transpose(0, 2, 1)).all(), "not exactly symmetric"
        # 4 roundings of every element whatever the edge: damping, pivot, scale, product; then the gate of the CPU's kernel
        assert (spot03(c, damping, inverse) <= 4 / edge + 0.3).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("blocks", "edge", "cores"), [(19, 32, 2), (8, 48, 1), (13, 16, 1), (3, 64, 1)])
def test_groups_of_any_size(kernel: str, blocks: int, edge: int, cores: int) -> None:
    """9 and 10 blocks on two cores: groups of 8, the second of which goes back over the first."""
    c, damping = covariance(blocks, edge), np.linspace(0, 1, blocks).astype(np.float32)
    scale = np.exp2(np.linspace(-40, 40, blocks).round()).astype(np.float32)
    c, damping = c * scale[:, None, None], damping * scale
    inverse, status = invert(kernel, c, damping, cores)
    assert (status == 0).all()
    assert (inverse == inverse.transpose(0, 2, 1)).all()
    assert (spot03(c, damping, inverse) <= 4 / edge + 0.3).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_bits_alone_and_in_company(kernel: str) -> None:
    c, damping = covariance(11, 32), np.linspace(0, 1, 11).astype(np.float32)
    c[3] *= np.float32(1e6)
    c[5, 2, 2] = -1
    together, status = invert(kernel, c, damping, cores=1)
    assert status.tolist() == [0] * 5 + [3] + [0] * 5
    apart, _ = invert(kernel, c, damping, cores=11)
    assert (together == apart).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_damping_is_added_to_each_block(kernel: str) -> None:
    inverse, _ = invert(kernel, np.zeros((3, 16, 16), np.float32), np.array([1, 4, 16]))
    assert (inverse == np.eye(16) / np.array([1, 4, 16]).reshape(3, 1, 1)).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edge", [16, 25])
def test_the_failing_pivot_is_named_and_the_inverse_is_zero(kernel: str, edge: int) -> None:
    pivots = np.repeat([1, 2, edge // 2, edge - 1, edge], 2)
    c = covariance(2 * len(pivots), edge)
    for n, pivot in enumerate(pivots):
        c[2 * n, pivot - 1, :] = c[2 * n, :, pivot - 1] = 0
        c[2 * n, pivot - 1, pivot - 1] = -(n % 2)
    inverse, status = invert(kernel, c, np.zeros(len(c)), cores=3)
    assert status[::2].tolist() == pivots.tolist() == cholesky_inverse(c, 0.0)[1][::2].tolist()
    assert (status[1::2] == 0).all()
    assert (inverse[::2] == 0).all()
    assert (spot03(c[1::2], np.zeros(len(pivots)), inverse[1::2]) <= 4 / edge + 0.3).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edge", [16, 37])
def test_what_is_not_finite_is_reported(kernel: str, edge: int) -> None:
    places = [(0, 0), (3, edge - 7), (edge - 1, edge - 1), (0, edge - 1)]
    c = covariance(3 * len(places) + 4, edge)
    for n, (row, column) in enumerate(places):
        for k, value in enumerate((np.nan, np.inf, -np.inf)):
            c[3 * n + k, row, column] = c[3 * n + k, column, row] = value
    damping = np.zeros(len(c))
    damping[-4:-1] = np.nan, np.inf, -np.inf
    inverse, status = invert(kernel, c, damping, cores=4)
    assert status.tolist() == [-1] * (len(c) - 1) + [0]
    assert (inverse[:-1] == 0).all()
    assert (spot03(c[-1:], damping[-1:], inverse[-1:]) <= 4 / edge + 0.3).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_inverse_that_overflows_is_reported(kernel: str) -> None:
    """By its own size, in one place, or because rows nearly repeat: each element of c is far from the limits then."""
    one, pair = np.eye(16), np.eye(16)
    one[5, 5] = 1e-39
    pair[2:4, 2:4] = 1e-37 * np.array([[1, 0.9999], [0.9999, 1]])
    c = np.array([np.eye(16) * 1e-39, one, pair], np.float32)
    inverse, status = invert(kernel, c, np.zeros(3), cores=1)
    assert status.tolist() == [-1] * 3 == cholesky_inverse(c, 0.0)[1].tolist()
    assert (inverse == 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_diagonal_matrices_of_any_size(kernel: str) -> None:
    """Sizes that fp16 could not hold together. Root, its inverse and its halves are rounded and count twice, the square once."""
    diagonal = np.array([1e-37, 1e-20, 1e-8, 1, 3, 1e8, 1e20, 1e37] * 2, np.float32)
    inverse, status = invert(kernel, np.array([np.diag(diagonal)]), np.zeros(1))
    assert status.tolist() == [0]
    assert (np.abs(np.diag(inverse[0]) * diagonal.astype(np.float64) - 1) <= 7 * UNIT).all()
    assert (inverse[0][~np.eye(16, dtype=bool)] == 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_only_the_upper_triangle_is_read(kernel: str) -> None:
    for edge in (25, 32):
        c = covariance(2, edge)
        upper = np.where(np.triu(np.ones((edge, edge), bool)), c, np.float32(7))
        results = [invert(kernel, x, np.full(2, 0.1)) for x in (upper, c)]
        assert (results[0][1] == 0).all()
        assert (results[0][0] == results[1][0]).all()


# Accuracy ---------------------------------------------------------------------------------------------------------------


def positive_definite(eigenvalues: np.ndarray, seed: int) -> np.ndarray:
    """A symmetric float32 matrix with (nearly) these eigenvalues in a random orthogonal basis."""
    n = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    a = (q * eigenvalues) @ q.T
    return np.asarray((a + a.T) / 2, np.float32)


def geometric(n: int, condition: float) -> np.ndarray:
    return np.geomspace(1, 1 / condition, n)


def damped_covariance(n: int, condition: float) -> np.ndarray:
    """Eigenvalues as those of a K-FAC factor: they fall with the cube of their number, down to the damping."""
    return np.arange(1, n + 1) ** -3.0 * (1 - 1 / condition) + 1 / condition


def badly_scaled(n: int, condition: float, seed: int) -> np.ndarray:
    """A well-conditioned covariance with rows and columns scaled over the square root of `condition`, in random order."""
    generator = np.random.default_rng(seed)
    scale = generator.permutation(np.geomspace(1, condition**-0.5, n))
    return np.asarray(covariance(1, n, seed)[0] * scale[:, None] * scale, np.float32)


def lapack_inverse(a: np.ndarray) -> np.ndarray:
    upper, info = lapack.spotri(lapack.spotrf(a)[0])
    assert info == 0
    return np.triu(upper) + np.triu(upper, 1).T


def median_errors(c: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Relative error against float64 in the Frobenius norm, the median over the second axis; ours and LAPACK's."""
    errors = np.empty((2, *c.shape[:2]))
    for index in np.ndindex(c.shape[:2]):
        exact = np.linalg.inv(c[index].astype(np.float64))
        for side, x in enumerate((inverse[index], lapack_inverse(c[index]))):
            errors[(side, *index)] = np.linalg.norm(x - exact) / np.linalg.norm(exact)
    return np.median(errors, axis=2)


CONDITIONS = (1e2, 1e3, 1e4, 1e5, 1e6)


def assert_accurate(kernel: str, c: np.ndarray) -> None:
    """Within a factor of 2 of LAPACK as on the CPU, times sqrt(2): products and sums are rounded apart, there is no multiply-add."""
    edge = c.shape[2]
    flat = c.reshape(-1, edge, edge)
    inverse, status = invert(kernel, flat, np.zeros(len(flat)))
    assert (status == 0).all()
    assert (spot03(flat, np.zeros(len(flat)), inverse) <= 0.3).all()
    ours, peer = median_errors(c, inverse.reshape(c.shape))
    print(kernel, edge, "error / LAPACK", np.round(ours / peer, 2).tolist())
    assert (ours <= 2 * np.sqrt(2) * peer).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edge", [64, pytest.param(128, marks=pytest.mark.long)])
def test_as_accurate_as_lapack(kernel: str, edge: int) -> None:
    spectra = (geometric, damped_covariance)
    c = [[positive_definite(s(edge, k), seed) for seed in range(9)] for s in spectra for k in CONDITIONS]
    assert_accurate(kernel, np.array(c))


@pytest.mark.parametrize("kernel", KERNELS)
def test_scaled_rows_cost_no_accuracy(kernel: str) -> None:
    assert_accurate(kernel, np.array([[badly_scaled(48, k, seed) for seed in range(9)] for k in CONDITIONS]))


# Buffers and cycles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("blocks", "edge"), [(1, 8), (2, 17), (100, 48), (40, 16), (500, 112), (7, 127), (LARGE, 128)])
def test_buffers_are_what_the_tiling_says(kernel: str, blocks: int, edge: int) -> None:
    used, tiling = program(kernel, blocks, edge, 32).peak_bytes, tile(blocks, edge, 32, kernel == "cholesky_inverse")
    assert tiling.ub_bytes() - 128 <= used["ubuf"] <= tiling.ub_bytes()
    if tiling.cube:
        assert used["cbuf"] == tiling.l1_bytes()
        assert used["ca"] == used["cb"] == tiling.l0_bytes()
        assert used["cc"] == tiling.l0c_bytes()
    else:
        assert used["cbuf"] == used["ca"] == used["cb"] == used["cc"] == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_refuses_fp16(kernel: str) -> None:
    half = ((2, 16, 16), "float16")
    with pytest.raises(ValueError, match="c is float16; it must be float32"):
        tbe_kernels.trace(getattr(MODULE, kernel), half, ((2,), "float32"), half, ((2, 8), "int32"))


def cycles_of(kernel: str, blocks: int) -> int:
    """Of blocks of 128 on one core."""
    return timed(kernel, covariance(blocks, 128), np.full(blocks, 0.01), cores=1).cycles


def cycles_of_the_pair() -> int:
    """MindSpore's two kernels, for one block of 128 on one core: each core of 32 has one block in what was recorded."""
    recorded = json.loads((Path(__file__).parents[1] / "davinci" / "foreign" / "cycles.json").read_text())
    return int(recorded["cholesky_trsm"]["128"] + recorded["batch_matmul"]["32 x 128"])


# (kernel, blocks of a group, how many times fewer cycles than the pair, milliseconds at 1 GHz for all blocks of BERT-Large)
TARGETS = [("cholesky_inverse_vector", 1, 7, 12), ("cholesky_inverse", 8, 50, 1.5)]


@pytest.mark.parametrize(("kernel", "group", "ratio", "milliseconds"), TARGETS)
def test_speed(kernel: str, group: int, ratio: float, milliseconds: float) -> None:
    """From the start of a core with one group and with two; further groups take what the second one adds."""
    one, two = (cycles_of(kernel, group * n) for n in (1, 2))
    total = one + (-(-LARGE // 32 // group) - 1) * (two - one)
    print(f"{kernel}: {two / 2 / group:.0f} cycles a block, MindSpore {cycles_of_the_pair()}, all {total / 1e6:.2f} ms")
    assert two / 2 / group * ratio <= cycles_of_the_pair()
    assert total <= milliseconds * 1e6


@pytest.mark.long
@pytest.mark.parametrize(("kernel", "group", "ratio", "milliseconds"), TARGETS)
def test_speed_of_a_whole_share(kernel: str, group: int, ratio: float, milliseconds: float) -> None:
    """The 108 blocks that each of 32 cores has of BERT-Large."""
    assert cycles_of(kernel, LARGE // 32) <= milliseconds * 1e6


@pytest.mark.long
@pytest.mark.parametrize(("kernel", "group", "ratio", "milliseconds"), TARGETS)
def test_speed_with_pessimistic_constants(kernel: str, group: int, ratio: float, milliseconds: float) -> None:
    """Each uncertain constant at the worse end of its range: groups on end, none cheaper for being the second."""
    result = timed(kernel, covariance(group, 128), np.full(group, 0.01), cores=1)
    worst = max(max(ends) for ends in result.sensitivity().values())
    print(f"{kernel}: {worst / group:.0f} cycles a block at worst")
    assert worst * -(-LARGE // 32 // group) <= milliseconds * 1e6
