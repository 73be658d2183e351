"""The choice of backend, and the registration of the Ascend kernels as far as it goes without a device."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from framework import assert_same
from mindspore import Tensor, nn, ops

from bert_thor.kernels.cases import operations
from bert_thor.kernels.fisher_covariance import reference
from bert_thor.ops import (
    _backend,
    _registration,
    cholesky_inverse,
    fisher_covariance,
    layer_norm,
    residual_dropout_layer_norm,
    thor_tbe_kernels,
)
from bert_thor.ops._backend import BackendError, choose

ALL = ("tbe", "akg", "mindspore", "cpu")
KERNELS = [name for name, value in vars(thor_tbe_kernels).items() if hasattr(value, "registration")]


@pytest.fixture
def on_ascend(monkeypatch: pytest.MonkeyPatch) -> None:
    """MindSpore 2.0.0 with CANN on an Ascend 910, as far as `_backend` looks."""
    monkeypatch.setattr(_backend.ms, "get_context", lambda _: "Ascend")
    monkeypatch.setattr(_backend.ms, "__version__", "2.0.0")
    monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(_backend.shutil, "which", lambda name: f"/bin/{name}")
    _backend._warn.cache_clear()


def sources() -> list[str]:
    """The operators' files."""
    return [file.read_text() for file in Path(str(_backend.__file__)).parent.glob("[a-z]*.py")]


def ask(monkeypatch: pytest.MonkeyPatch, request: str) -> None:
    monkeypatch.setenv(_backend.VARIABLE, request)


class TestChoice:
    def test_the_cpu_takes_its_own_kernel_without_a_word(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert choose("layer_norm", ALL) == "cpu"

    def test_ascend_takes_the_first_on_offer(self, on_ascend: None) -> None:
        assert choose("layer_norm", ALL) == "tbe"
        assert choose("layer_norm", ("akg", "cpu")) == "akg"

    def test_falls_back_with_one_warning(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: None)
        with pytest.warns(RuntimeWarning, match=r"layer_norm uses akg instead of tbe: CANN's Python package") as seen:
            assert [choose("layer_norm", ALL) for _ in range(3)] == ["akg"] * 3
        assert len(seen) == 1

    def test_a_newer_mindspore_uses_its_own_operators(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_backend.ms, "__version__", "2.10.0")
        with pytest.warns(RuntimeWarning, match=r"uses mindspore instead of tbe: MindSpore 2\.10\.0 cannot build"):
            assert choose("layer_norm", ALL) == "mindspore"
        with pytest.warns(RuntimeWarning, match="cholesky_inverse uses cpu instead of tbe"):
            assert choose("cholesky_inverse", ("tbe", "cpu")) == "cpu"

    @pytest.mark.parametrize(
        ("request_", "result"),
        [
            ("akg", "akg"),
            ("layer_norm=akg", "akg"),
            ("precondition=akg", "tbe"),
            ("akg,layer_norm=cpu", "cpu"),
            ("layer_norm=cpu,akg", "akg"),
        ],
    )
    def test_requests(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch, request_: str, result: str) -> None:
        ask(monkeypatch, request_)
        assert choose("layer_norm", ALL) == result

    @pytest.mark.parametrize(
        ("request_", "sentence"),
        [
            ("tpu", "THOR_BACKEND=tpu names no backend: use tbe, akg, mindspore, cpu or auto"),
            (
                "layernorm=akg",
                "THOR_BACKEND=layernorm=akg names no operation: use adam, add, attention, bias_gelu, cholesky_inverse",
            ),
            ("aot", "THOR_BACKEND=aot names a backend that is called cpu: use cpu"),
            ("akg,adam=aot", "THOR_BACKEND=adam=aot names a backend that is called cpu: use adam=cpu"),
            ("tbe", "layer_norm cannot use it: it needs an Ascend 910, and the device target is CPU"),
            ("layer_norm=akg", "layer_norm cannot use it: it needs an Ascend 910"),
        ],
    )
    def test_a_request_that_cannot_be_met_raises(
        self, monkeypatch: pytest.MonkeyPatch, request_: str, sentence: str
    ) -> None:
        ask(monkeypatch, request_)
        with pytest.raises(BackendError, match=sentence):
            layer_norm.layer_norm(1e-12)

    def test_a_kernel_that_does_not_exist_raises(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch) -> None:
        ask(monkeypatch, "cholesky_inverse=akg")
        with pytest.raises(BackendError, match="asks for akg, but cholesky_inverse has only tbe and cpu"):
            cholesky_inverse.cholesky_inverse()

    def test_a_bare_name_is_for_those_that_have_it(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch) -> None:
        ask(monkeypatch, "akg")
        assert choose("cholesky_inverse", ("tbe", "cpu")) == "tbe"
        assert choose("adam", ("mindspore", "cpu")) == "mindspore"

    @pytest.mark.parametrize(
        ("block", "kind"),
        [(16, "Tbe"), (256, "Tbe"), (128, "Tbe"), (2, "MindSpore"), (24, "MindSpore"), (272, "MindSpore")],
    )
    def test_blocks_that_the_cube_does_not_take(self, on_ascend: None, block: int, kind: str) -> None:
        assert type(fisher_covariance.fisher_covariance(block)).__name__ == f"FisherCovariance{kind}"

    def test_every_operation_has_an_operator_that_chooses(self) -> None:
        asking = {name for text in sources() for name in re.findall(r'choose\("(\w+)"', text)}
        assert asking == set(operations())

    def test_what_is_offered_is_named_after_its_backend(self) -> None:
        offered = [
            pair for text in sources() for pair in re.findall(r'"(tbe|akg|mindspore|cpu)"\]?(?::| =) (\w+)', text)
        ]
        assert len(offered) >= 2 * len(operations())
        assert [name for backend, name in offered if not re.sub(r"_", "", name).lower().endswith(backend)] == []

    def test_missing_cann_is_the_reason(self, on_ascend: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_backend.shutil, "which", lambda name: None)
        ask(monkeypatch, "akg")
        with pytest.raises(BackendError, match=r"ccec is not on PATH: source CANN's set_env.sh"):
            choose("layer_norm", ALL)


class TestRegistration:
    @pytest.mark.parametrize("name", KERNELS)
    def test_tbe(self, name: str) -> None:
        """MindSpore takes the registration, and gives its compiler a file that it can import by its bare name."""
        kernel = getattr(thor_tbe_kernels, name)
        operator = _registration.tbe(name, lambda *shapes: shapes[0], ms.float32, block=16, eps=1e-12, probability=0.1)
        assert os.path.samefile(operator.imply_path, thor_tbe_kernels.__file__)
        assert operator.attrs["input_names"] == kernel.registration.inputs
        assert operator.func_name == name
        described = _registration.describe(kernel.registration)
        assert described["fusion_type"] == "OPAQUE"
        assert described["target"] == "Ascend"
        assert [entry["name"] for entry in described["attr"]] == list(kernel.registration.attributes)
        assert {len(choice) for choice in described["dtype_format"]} == {
            len(kernel.registration.inputs) + len(kernel.registration.outputs)
        }

    @pytest.mark.parametrize("name", KERNELS)
    def test_the_entry_takes_what_the_kernel_takes(self, name: str) -> None:
        """The compiler passes tensors and attributes by position, then kernel_name."""
        kernel = getattr(thor_tbe_kernels, name)
        tensors = [*kernel.registration.inputs, *kernel.registration.outputs]
        parameters = list(inspect.signature(kernel).parameters)
        assert parameters[len(tensors) :] == [*kernel.registration.attributes, "kernel_name"]

    def test_the_entries_execute_as_often_as_mindspore_likes(self) -> None:
        for _ in range(2):
            spec = importlib.util.spec_from_file_location("layer_norm", thor_tbe_kernels.__file__)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            assert module.layer_norm.registration == thor_tbe_kernels.layer_norm.registration

    def test_the_file_is_no_package_of_cann(self) -> None:
        stem = os.path.splitext(os.path.basename(str(thor_tbe_kernels.__file__)))[0]
        assert stem not in ("tbe", "te", "impl", "topi", "akg")

    def test_attributes_of_two_operators_stay_apart(self) -> None:
        edges = [fisher_covariance.FisherCovarianceTbe(edge).operator.attrs["block"] for edge in (16, 32)]
        assert edges == [16, 32]

    def test_akg_learns_its_tiles_when_shapes_are_known(self) -> None:
        operator = layer_norm.ForwardAkg(1e-12).operator
        described = [
            {"shape": shape, "dtype": ms.float32, "value": None} for shape in ((512, 768), (768,), (768,), (1,))
        ]
        operator.__infer__(*described)
        assert json.loads(operator.attrs["func_compile_attrs"]) == {"dim": "0 0 16 16"}
        assert operator.attrs["func_type"] == "tvm_compute"
        assert operator.attrs["func_source_str"].startswith("def layer_norm(")

    def test_akg_refuses_what_it_would_compute_wrongly(self) -> None:
        operator = layer_norm.ForwardAkg(1e-12).operator
        with pytest.raises(ValueError, match=r"x is \[12, 768\] float32; AKG's kernel takes rows in multiples of 8"):
            operator.__infer__(
                *[{"shape": s, "dtype": ms.float32, "value": None} for s in ((12, 768), (768,), (768,), (1,))]
            )


class Product(nn.Cell):
    """What the AKG kernel of the covariance computes, by the framework."""

    def __init__(self) -> None:
        super().__init__()
        self.product = ops.BatchMatMul(transpose_a=True)

    def construct(self, x: Tensor, same: Tensor) -> Tensor:
        shares, stripes, chunks = x.shape[0], x.shape[1], x.shape[2]
        rows = ops.transpose(ops.cast(x, ms.float32), (0, 2, 3, 1, 4)).reshape((shares, chunks * 16, stripes * 16))
        return self.product(rows, rows).reshape((shares, stripes, 16, stripes, 16)) / (chunks * 16)


class TestAroundTheKernels:
    """What the operators do before and after a kernel, with the framework in the kernel's place."""

    @pytest.mark.parametrize(("rows", "features", "block"), [(32, 64, 32), (33, 100, 48), (9000, 40, 32)])
    @pytest.mark.parametrize("scale", [1.0, 2.0**-30, 2.0**20])
    def test_shares_of_the_covariance(self, mode: int, rows: int, features: int, block: int, scale: float) -> None:
        """fp16 numbers times a power of two: nothing is rounded, however far that is from the range of fp16."""
        x = np.random.default_rng(rows).standard_normal((rows, features)).astype(np.float16).astype(
            np.float32
        ) * np.float32(scale)
        cell = fisher_covariance.FisherCovarianceAkg(block)
        cell.operator = Product()
        packed = cell(Tensor(x)).asnumpy()
        bound = 2.0**-24 * (rows + 8) * reference.fisher_covariance(np.abs(x), block)
        assert (np.abs(packed - reference.fisher_covariance(x, block)) <= bound).all()

    def test_weighted_rows_before_the_cube(self, mode: int) -> None:
        """Gradients of 2^-40 and less: the roots of the weights and x are scaled together before they are rounded to fp16."""
        x = np.random.default_rng(0).standard_normal((33, 100)).astype(np.float32)
        weights = (np.random.default_rng(1).standard_normal(33) ** 2 * 2.0**-80).astype(np.float32)
        weights[::4], x[::4] = 0.0, np.inf
        cell = fisher_covariance.Weighted(fisher_covariance.FisherCovarianceAkg(48))
        cell.covariance.operator = Product()
        packed = cell(Tensor(x), Tensor(weights)).asnumpy()
        bound = (2 * 2.0**-11 + 2.0**-20) * reference.fisher_covariance(np.abs(x), 48, weights)
        kept = weights > 0
        largest = float((np.sqrt(weights[kept])[:, None] * np.abs(x[kept])).max())
        assert (np.abs(packed - reference.fisher_covariance(x, 48, weights)) <= bound + 2.0**-24 * largest**2).all()

    def test_the_cube_gets_numbers_near_one(self, mode: int) -> None:
        x = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float16).astype(np.float32) * np.float32(
            2.0**-30
        )
        narrow, square = fisher_covariance.Narrow()(Tensor(x))
        assert narrow.dtype == ms.float16 and 1 <= np.abs(narrow.asnumpy()).max() < 2
        assert (narrow.asnumpy().astype(np.float64) ** 2 * float(square.asnumpy()) == x.astype(np.float64) ** 2).all()
        nothing, square = fisher_covariance.Narrow()(Tensor(np.zeros((4, 8), np.float32)))
        assert (nothing.asnumpy() == 0).all() and np.isfinite(square.asnumpy())

    def test_layer_norm_and_its_gradient(self, mode: int) -> None:
        def forward(x: Any, gamma: Any, beta: Any) -> Any:
            mean = x.mean(-1)
            centered = x - mean.reshape((-1, 1))
            rstd = 1 / ops.sqrt((centered * centered).mean(-1) + 1e-6)
            return centered * rstd.reshape((-1, 1)) * gamma + beta, mean, rstd

        def gradient(dy: Any, x: Any, gamma: Any, mean: Any, rstd: Any) -> Any:
            xhat, g = (x - mean.reshape((-1, 1))) * rstd.reshape((-1, 1)), dy * gamma
            means = g.mean(-1, keep_dims=True) + xhat * (g * xhat).mean(-1, keep_dims=True)
            return rstd.reshape((-1, 1)) * (g - means), (dy * xhat).sum(0), dy.sum(0)

        class First(nn.Cell):
            def __init__(self, operator: Any) -> None:
                super().__init__()
                self.operator = operator

            def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
                return self.operator(x, gamma, beta)[0]

        rng, shape = np.random.default_rng(0), (2, 5, 64)
        inputs = [rng.standard_normal(size) for size in (shape, shape[-1:], shape[-1:])]
        assert_same(First(layer_norm.OverRows(forward, gradient)), by_the_framework, inputs, shape, 64)


def by_the_framework(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    centered = x - x.mean(-1, keep_dims=True)
    return centered / ops.sqrt((centered * centered).mean(-1, keep_dims=True) + 1e-6) * gamma + beta


def test_dropout_of_ascend_knows_its_numbers() -> None:
    with_mask, without = (residual_dropout_layer_norm.ResidualDropoutLayerNormTbe(1e-12, p, 3) for p in (0.1, 0.0))
    assert with_mask.normalise.forward.attrs["probability"] == 0.1
    assert with_mask.normalise.gradient.attrs["probability"] == 0.1
    assert without.normalise.forward.attrs["eps"] == 1e-12
    assert "probability" not in without.normalise.forward.attrs
