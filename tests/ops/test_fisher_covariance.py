"""fisher_covariance in MindSpore, for any rank of x."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from precisions import needs_bfloat16

from bert_thor.kernels.cases import to_bfloat16
from bert_thor.kernels.fisher_covariance import native, reference
from bert_thor.kernels.fisher_covariance.cases import weights
from bert_thor.kernels.status import KernelError
from bert_thor.ops import _backend
from bert_thor.ops.fisher_covariance import fisher_covariance


@pytest.mark.parametrize("shape", [(3, 20, 40), (2, 3, 10, 40)])
@pytest.mark.parametrize("block", [8, 16, 40])
def test_the_kernels_bits(mode: int, shape: tuple[int, ...], block: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out = fisher_covariance(block)(ms.Tensor(x))
    assert out.dtype == ms.float32
    assert (out.asnumpy() == native.fisher_covariance(x, block)).all()


@needs_bfloat16
def test_the_kernels_bits_in_bfloat16(mode: int) -> None:
    bits = to_bfloat16(np.random.default_rng(0).standard_normal((3, 20, 40)).astype(np.float32))
    x = ms.Tensor((bits.astype(np.uint32) << 16).view(np.float32)).astype(ms.bfloat16)
    out = fisher_covariance(16)(x)
    assert out.dtype == ms.float32
    assert (out.asnumpy() == native.fisher_covariance(bits, 16)).all()
    w = weights(60).reshape(3, 20)
    out = fisher_covariance(16, weighted=True)(x, ms.Tensor(w))
    assert (out.asnumpy() == native.fisher_covariance(bits, 16, w)).all()


@pytest.mark.parametrize("shape", [(60, 40), (2, 3, 10, 40)])
@pytest.mark.parametrize("block", [8, 16, 48])
def test_the_frameworks_own(mode: int, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], block: int) -> None:
    monkeypatch.setenv(_backend.VARIABLE, "mindspore")
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out = fisher_covariance(block)(ms.Tensor(x)).asnumpy()
    terms = reference.fisher_covariance(np.abs(x), block)
    assert (np.abs(out - reference.fisher_covariance(x, block)) <= 64 * 2.0**-24 * terms).all()
    assert (out == out.transpose(0, 2, 1)).all()


@pytest.mark.parametrize("largest", [1e14, 1e15, 2e19, 1e20])
def test_a_mean_that_fits_is_finite(mode: int, backend: str, largest: float) -> None:
    """Where one square, or the sum of all, is above the largest float; beside numbers of ordinary size, and NaN where it is."""
    x = np.random.default_rng(0).standard_normal((300, 32)).astype(np.float32)
    x[:, 3] = largest * 1e-2
    x[7, 5], x[9, 20] = largest, np.nan
    out = fisher_covariance(16)(ms.Tensor(x)).asnumpy()
    with np.errstate(invalid="ignore"):
        exact = reference.fisher_covariance(x, 16)
        terms = reference.fisher_covariance(np.abs(x), 16)
    assert np.isfinite(exact[0]).all() and (np.isnan(out) == np.isnan(exact)).all()
    ours, meant = np.nan_to_num(out).astype(np.float64), np.nan_to_num(exact).astype(np.float64)
    assert (np.abs(ours - meant) <= 310 * 2.0**-24 * np.nan_to_num(terms)).all()


def test_the_last_block_is_padded(mode: int, backend: str) -> None:
    out = fisher_covariance(16)(ms.Tensor(np.ones((4, 21), np.float32))).asnumpy()
    assert out.shape == (2, 16, 16)
    assert (out[1, :5, :5] == 1).all() and out[1].sum() == 25


@pytest.mark.parametrize("shape", [(60,), (2, 3, 10)])
def test_weighted_rows_of_any_rank(mode: int, backend: str, shape: tuple[int, ...]) -> None:
    """A row of weight 0 has no part even where x is no number; one without a root is no number."""
    x, w = np.random.default_rng(0).standard_normal((*shape, 40)).astype(np.float32), weights(60).reshape(shape)
    x[w == 0] = np.nan
    assert np.isnan(x).any()
    out = fisher_covariance(16, weighted=True)(ms.Tensor(x), ms.Tensor(w)).asnumpy()
    terms = reference.fisher_covariance(np.abs(x), 16, w)
    assert (np.abs(out - reference.fisher_covariance(x, 16, w)) <= 64 * 2.0**-24 * terms).all()
    assert (out == out.transpose(0, 2, 1)).all()
    w.reshape(-1)[7] = -1.0
    assert np.isnan(fisher_covariance(16, weighted=True)(ms.Tensor(x), ms.Tensor(w)).asnumpy()[0]).all()


def test_weights_that_do_not_fit_get_a_sentence(mode: int) -> None:
    with pytest.raises(KernelError, match="shape"):
        fisher_covariance(8, weighted=True)(ms.Tensor(np.ones((4, 8), np.float32)), ms.Tensor(np.ones(3, np.float32)))


def test_another_element_type_gets_a_sentence(mode: int) -> None:
    x = ms.Tensor(np.ones((4, 8)))
    with pytest.raises(KernelError, match="cast it to float32"):
        fisher_covariance(8)(x).asnumpy()
    with pytest.raises(TypeError, match=r"fisher_covariance: .* not float16; .* THOR_BACKEND=mindspore"):
        fisher_covariance(8)(x.astype(ms.float16))


def test_a_block_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="block is 0"):
        fisher_covariance(0)


class TwoEdges(ms.nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.eight, self.sixteen = fisher_covariance(8), fisher_covariance(16)

    def construct(self, x: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        return self.eight(x), self.sixteen(x)


def test_operators_of_two_edges_do_not_mix(mode: int) -> None:
    x = np.random.default_rng(0).standard_normal((10, 40)).astype(np.float32)
    for out, block in zip(TwoEdges()(ms.Tensor(x)), (8, 16)):
        assert (out.asnumpy() == native.fisher_covariance(x, block)).all()
