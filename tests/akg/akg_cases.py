"""What the AKG kernels are run on, and what their results are held to: the same cases on the CPU and as Ascend's code."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from comparison import UNIT, assert_within, column_sum_bound
from norm_errors import tolerances, tolerances_of_gradient

from bert_thor.kernels.ascend.sizes import CORES
from bert_thor.kernels.fisher_covariance import akg as fisher_covariance_akg
from bert_thor.kernels.fisher_covariance import reference as fisher_covariance
from bert_thor.kernels.layer_norm import akg as layer_norm_akg
from bert_thor.kernels.layer_norm import reference as layer_norm

EPS = 0.01  # large enough to be missed
ROUNDING = {"float16": 2.0**-11, "float32": UNIT}
SMALLEST = {"float16": 2.0**-24, "float32": 1e-37}


@dataclass
class Case:
    """One function of one akg.py on one set of inputs.

    Attributes:
        outputs: shape and type of each.
        check: raises unless the outputs are right.
        dim: AKG's tiles; "" leaves them to AKG.
        cores: how many must get work on Ascend (0: any number).
    """

    operation: str
    function: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, tuple[tuple[int, ...], str]]
    check: Callable[..., None]
    dim: str = ""
    cores: int = 0

    @property
    def file(self) -> str:
        """Path of the akg.py."""
        return str(importlib.import_module(f"bert_thor.kernels.{self.operation}.akg").__file__)

    def empty_outputs(self) -> list[np.ndarray]:
        """NaN everywhere."""
        return [np.full(shape, np.nan, dtype) for shape, dtype in self.outputs.values()]


def layer_norm_cases(rows: int, features: int, dtype: str, tiled: bool = True, ratio: float = 0.5) -> list[Case]:
    """`layer_norm` and the three kernels of its gradient, of rows whose mean is `ratio` deviations; one row is constant.

    `tiled` for Ascend, where rows come in groups of 8.
    """
    generator = np.random.default_rng(rows * 10000 + features)
    x, dy = (generator.standard_normal((2, rows, features)) * 2 + [[[2.0 * ratio]], [[0.0]]]).astype(dtype)
    x[-1] = 100.1
    gamma, beta = generator.standard_normal((2, features)).astype(np.float32)
    y, mean, rstd = layer_norm.layer_norm(x, gamma, beta, EPS)
    dx, dgamma, dbeta = layer_norm.layer_norm_grad(dy, x, gamma, mean, rstd)
    narrow = ROUNDING[dtype] if dtype == "float16" else 0.0

    def check_forward(*actual: np.ndarray) -> None:
        for ours, exact, allowed in zip(actual, (y, mean, rstd), tolerances(x, gamma, beta, EPS)):
            rounding = narrow * np.abs(exact) + SMALLEST[dtype] if ours.dtype == np.float16 else 0.0
            assert_within(ours, exact, allowed + rounding)

    allowed_dx, allowed_dgamma, _ = tolerances_of_gradient(dy, x, gamma, mean, rstd)

    xhat = (x.astype(np.float64) - mean.astype(np.float64)[:, None]) * rstd[:, None]
    mean_xhat = xhat.mean(axis=1)

    def check_dx(actual: np.ndarray, actual_mean_xhat: np.ndarray) -> None:
        assert_within(actual, dx, allowed_dx + narrow * np.abs(dx) + SMALLEST[dtype])
        assert_within(actual_mean_xhat, mean_xhat, column_sum_bound(np.abs(xhat).T) / features)

    def check_dgamma(actual: np.ndarray) -> None:
        assert_within(actual, dgamma, allowed_dgamma)

    def check_dbeta(actual: np.ndarray) -> None:
        assert_within(actual, dbeta, column_sum_bound(dy.astype(np.float64)))

    row, column, whole = ((rows,), "float32"), ((features,), "float32"), ((rows, features), dtype)
    dim = layer_norm_akg.dim(rows, features, dtype) if tiled else ""
    cores = min(CORES, rows // 8) if tiled else 0
    values = {
        "x": x,
        "gamma": gamma,
        "beta": beta,
        "dy": dy,
        "mean": mean,
        "rstd": rstd,
        "mean_xhat": mean_xhat.astype(np.float32),
    }
    values["eps"] = np.array([EPS], np.float32)

    def case(function: str, names: str, outputs: Mapping[str, tuple[tuple[int, ...], str]], check: Callable) -> Case:
        return Case("layer_norm", function, {name: values[name] for name in names.split()}, outputs, check)

    forward = case("layer_norm", "x gamma beta eps", {"y": whole, "mean": row, "rstd": row}, check_forward)
    backward = case("layer_norm_grad", "dy x gamma mean rstd", {"dx": whole, "mean_xhat": row}, check_dx)
    forward.dim, backward.dim, forward.cores, backward.cores = dim, dim, cores, cores
    return [
        forward,
        backward,
        case("layer_norm_grad_gamma", "dy x mean rstd mean_xhat", {"dgamma": column}, check_dgamma),
        case("layer_norm_grad_beta", "dy", {"dbeta": column}, check_dbeta),
    ]


def covariance_case(rows: int, features: int, block: int, dtype: str = "float16") -> Case:
    """`fisher_covariance`; in float32 the numbers are still those of float16, as the cube's products are exact."""
    x = np.random.default_rng(rows * 1000 + features).standard_normal((rows, features)).astype(np.float16)
    share_rows = fisher_covariance_akg.share_rows(rows, block)
    per_block, blocks = -(-rows // share_rows), -(-features // block)
    shares = to_shares(x, block, share_rows).astype(dtype)

    def check(packed: np.ndarray) -> None:
        sums = packed.reshape(blocks, per_block, block, block).astype(np.float64).sum(axis=1) * share_rows
        bound = UNIT * (rows + 4) * fisher_covariance.fisher_covariance(np.abs(x), block)
        assert_within(sums / rows, fisher_covariance.fisher_covariance(x, block), bound)

    return Case(
        "fisher_covariance",
        "fisher_covariance",
        {"x": shares, "same": shares},
        {"packed": ((len(shares), block // 16, 16, block // 16, 16), "float32")},
        check,
        dim=fisher_covariance_akg.dim(len(shares), share_rows, block),
        cores=min(32, len(shares)),
    )


def to_shares(x: np.ndarray, block: int, share_rows: int) -> np.ndarray:
    """x [rows, features] as fractals [shares, block / 16, share_rows / 16, 16, 16], zeros where x has none."""
    per_block, blocks = -(-x.shape[0] // share_rows), -(-x.shape[1] // block)
    padded = np.zeros((per_block * share_rows, blocks * block), x.dtype)
    padded[: x.shape[0], : x.shape[1]] = x
    fractals = padded.reshape(per_block, share_rows // 16, 16, blocks, block // 16, 16).transpose(3, 0, 4, 1, 2, 5)
    return np.ascontiguousarray(fractals).reshape(blocks * per_block, block // 16, share_rows // 16, 16, 16)
