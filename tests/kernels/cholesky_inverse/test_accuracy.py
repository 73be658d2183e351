"""cholesky_inverse against LAPACK's own test ratios and matrix types, and against LAPACK itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import lapack

from bert_thor.kernels.cholesky_inverse import native
from bert_thor.kernels.library import InstructionSet

UNIT = 2.0**-24  # LAPACK's epsilon in single precision
GATE, ALARM = 0.3, 0.1  # LAPACK itself passes up to 30; above edge 17 all is below 0.1
SMALL = 0.25 * 2.0**-126 / UNIT  # LAPACK's scale near underflow; its inverse is the one near overflow
SIZES = (2, 3, 5, 10, 15, 16, 17, 31, 32, 33, 50, 127, 128, 129, 255, 256, 257)
LARGE_SIZES = (512, 768, 1024)


def spectrum(kind: str, n: int) -> np.ndarray:
    """Eigenvalues of LAPACK's test matrices of this type (TESTING/LIN, slatb4: geometric from 1 down to 1 / cond)."""
    conditions = {"cond 2": 2.0, "sqrt(0.1 / eps)": np.sqrt(0.1 / UNIT), "0.1 / eps": 0.1 / UNIT}
    scale = {"near underflow": SMALL, "near overflow": 1 / SMALL}.get(kind, 1.0)
    return scale * np.geomspace(1.0, 1.0 / conditions.get(kind, 2.0), n)


def positive_definite(eigenvalues: np.ndarray, seed: int) -> np.ndarray:
    """A symmetric float32 matrix with (nearly) these eigenvalues in a random orthogonal basis."""
    n = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    a = (q * eigenvalues) @ q.T
    return np.asarray((a + a.T) / 2, np.float32)


def spot03(a: np.ndarray, inverse: np.ndarray) -> float:
    """LAPACK's ratio ||I - A A^-1|| / (n ||A|| ||A^-1|| eps), evaluated in float64."""
    n, a, inverse = len(a), a.astype(np.float64), inverse.astype(np.float64)
    norms = np.abs(a).sum(0).max() * np.abs(inverse).sum(0).max()
    return float(np.abs(np.eye(n) - a @ inverse).sum(0).max() / (n * norms * UNIT))


def assert_ratio(kind: str, a: np.ndarray, inverse: np.ndarray) -> None:
    n, ratio = len(a), spot03(a, inverse)
    verdict = "PASS" if ratio <= ALARM else "MARGINAL" if ratio <= GATE else "FAIL"
    print(f"cholesky_inverse {kind} n={n} ratio={ratio:.4f} {verdict}")
    assert ratio <= GATE


@pytest.mark.parametrize("kind", ["cond 2", "sqrt(0.1 / eps)", "near underflow", "near overflow"])
def test_lapack_matrix_types(instruction_set: int, kind: str) -> None:
    for n in SIZES:
        a = positive_definite(spectrum(kind, n), seed=n)
        inverse, status = native.cholesky_inverse(a[None], 0.0)
        assert status.tolist() == [0]
        assert_ratio(kind, a, inverse[0])


def test_diagonal_matrices(instruction_set: int) -> None:
    for n in (1, *SIZES):
        diagonal = np.linspace(1, 2, n, dtype=np.float32)
        inverse, _ = native.cholesky_inverse(np.diag(diagonal)[None], 0.0)
        assert (np.abs(np.diag(inverse[0]) * diagonal.astype(np.float64) - 1) <= 4 * UNIT).all()
        assert (inverse[0][~np.eye(n, dtype=bool)] == 0).all()


def test_ill_conditioned_matrices_pass_or_are_reported(instruction_set: int) -> None:
    """At condition 0.1 / eps the rounded matrix may be indefinite: either it is said, or the residual is small."""
    for n in SIZES:
        a = positive_definite(spectrum("0.1 / eps", n), seed=n)
        inverse, status = native.cholesky_inverse(a[None], 0.0)
        if status[0] == 0:
            assert_ratio("0.1 / eps", a, inverse[0])
        else:
            assert 0 < status[0] <= n and (inverse == 0).all()


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_zero_row_gives_its_number(instruction_set: int, where: str) -> None:
    for n in SIZES:
        row = {"first": 0, "middle": n // 2, "last": n - 1}[where]
        a = positive_definite(spectrum("cond 2", n), seed=n)
        a[row] = a[:, row] = 0
        inverse, status = native.cholesky_inverse(a[None], 0.0)
        assert status.tolist() == [row + 1] and (inverse == 0).all()


@pytest.mark.parametrize("condition", [1e2, 1e3, 1e4, 1e5, 1e6])
def test_within_a_factor_of_two_of_lapack(instruction_set: int, condition: float) -> None:
    """Relative error in the Frobenius norm against float64, the median of nine matrices for each side."""
    for n in (64, 128, 200):
        errors = np.empty((9, 2))
        for seed in range(len(errors)):
            a = positive_definite(np.geomspace(1, 1 / condition, n), seed)
            exact = np.linalg.inv(a.astype(np.float64))
            upper, info = lapack.spotri(lapack.spotrf(a)[0])
            assert info == 0
            peer = np.triu(upper) + np.triu(upper, 1).T
            ours = native.cholesky_inverse(a[None], 0.0)[0][0]
            errors[seed] = np.linalg.norm(ours - exact), np.linalg.norm(peer - exact)
        ratio = np.divide(*np.median(errors, axis=0))
        print(f"cholesky_inverse cond={condition:.0e} n={n} error/LAPACK={ratio:.2f}")
        assert ratio <= 2


@pytest.mark.parametrize("n", LARGE_SIZES)
def test_large_blocks(n: int) -> None:
    a = positive_definite(spectrum("sqrt(0.1 / eps)", n), seed=n)
    inverse, status = native.cholesky_inverse(a[None], 0.0)
    assert status.tolist() == [0]
    assert_ratio("sqrt(0.1 / eps)", a, inverse[0])


@pytest.mark.long
@pytest.mark.parametrize("n", [*LARGE_SIZES, 1025, 2048])
def test_large_blocks_on_every_instruction_set(instruction_set: InstructionSet, n: int) -> None:
    for kind in ("cond 2", "sqrt(0.1 / eps)", "near underflow", "near overflow"):
        a = positive_definite(spectrum(kind, n), seed=n)
        inverse, status = native.cholesky_inverse(a[None], 0.0)
        assert status.tolist() == [0]
        assert_ratio(kind, a, inverse[0])
