"""fisher_covariance on Ascend 910, in the interpreter: any shape, both formats, 32 and 30 cores, and its cycles."""

from __future__ import annotations

import numpy as np
import pytest
import tbe_kernels
from comparison import UNIT, assert_within

from bert_thor.kernels import davinci
from bert_thor.kernels.fisher_covariance.cases import ASCEND
from bert_thor.kernels.fisher_covariance.reference import fisher_covariance
from bert_thor.kernels.fisher_covariance.tiling import tile

KERNEL = tbe_kernels.load("fisher_covariance").fisher_covariance
FORMATS = ("ND", "FRACTAL_NZ")


def samples(rows: int, features: int) -> np.ndarray:
    """Columns whose sizes differ a thousandfold, not centred."""
    generator = np.random.default_rng(rows * 1000 + features)
    scale = 10.0 ** generator.uniform(-1.5, 1.5, features)
    return ((generator.standard_normal((rows, features)) + 0.3) * scale).astype(np.float16)


def program(shape: tuple[int, ...], block: int, layout: str, cores: int) -> davinci.Program:
    description = tbe_kernels.describe_fractal_nz(shape, "float16") if layout == "FRACTAL_NZ" else (shape, "float16")
    packed = ((-(-shape[1] // block), block, block), "float32")
    return tbe_kernels.trace(KERNEL, description, packed, block=block, cores=cores)


def run(x: np.ndarray, block: int, layout: str = "ND", cores: int = 32) -> davinci.Result:
    given = tbe_kernels.to_fractal_nz(x) if layout == "FRACTAL_NZ" else x
    return program(x.shape, block, layout, cores).run(given)


def error_bound(x: np.ndarray, block: int) -> np.ndarray:
    """N - 1 additions and one scaling in fp32, of exact products; 1 / N is rounded too."""
    return (len(x) + 2) * UNIT * fisher_covariance(np.abs(x), block)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize(("rows", "features", "block"), ASCEND)
def test_against_the_reference(rows: int, features: int, block: int, layout: str) -> None:
    x = samples(rows, features)
    bound = error_bound(x, block)
    for cores in tbe_kernels.CORES:
        packed = run(x, block, layout, cores).outputs[0]
        assert_within(packed, fisher_covariance(x, block), bound)
        assert_within(packed, packed.transpose(0, 2, 1), 2 * bound)


def test_rows_and_columns_past_the_features_are_zero() -> None:
    packed = run(samples(50, 100), 64).outputs[0]
    assert (packed[1, 36:] == 0).all()
    assert (packed[1, :, 36:] == 0).all()


def test_the_largest_numbers_of_fp16_do_not_overflow() -> None:
    x = np.full((300, 32), 65504, np.float16)
    assert_within(run(x, 32).outputs[0], fisher_covariance(x, 32), error_bound(x, 32))


def test_leading_axes_are_rows() -> None:
    x = samples(60, 48)
    built = tbe_kernels.trace(KERNEL, ((3, 20, 48), "float16"), ((1, 48, 48), "float32"), block=48)
    assert_within(built.run(x).outputs[0], fisher_covariance(x, 48), error_bound(x, 48))


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize(("rows", "features", "block"), [*ASCEND, (6144, 30522, 128), (6144, 1024, 256)])
def test_buffers_are_what_the_tiling_says(rows: int, features: int, block: int, layout: str) -> None:
    used, tiling = program((rows, features), block, layout, 32).peak_bytes, tile(rows, features, block, 32)
    assert used["ubuf"] <= tiling.ub_bytes()
    assert used["cbuf"] <= tiling.l1_bytes()
    assert max(used["ca"], used["cb"]) <= tiling.l0_bytes()
    assert used["cc"] <= tiling.l0c_bytes()


def test_refuses_fp32() -> None:
    with pytest.raises(ValueError, match="x is float32; the cube of Ascend 910 takes float16"):
        tbe_kernels.trace(KERNEL, ((64, 64), "float32"), ((1, 64, 64), "float32"), block=64)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("features", [1024, pytest.param(4096, marks=pytest.mark.long)])
def test_speed(features: int, layout: str) -> None:
    """BERT-Large, 48 sequences of 128: at least 60 % of the time is what reading x alone takes at 32 bytes a cycle and core."""
    x = samples(6144, features)
    result = run(x, 128, layout)
    assert_within(result.outputs[0], fisher_covariance(x, 128), error_bound(x, 128))
    assert result.cycles * 0.6 <= x.nbytes / 32 / 32
