"""The compiled graph of float16 training, before a device chooses kernels: the types of all operators' inputs, and who wrote each cast.

MindSpore's own operators on the CPU stand for those of an Ascend 910: the graph up to here is the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from compiled_graph import Operator, operators
from mindspore import Tensor, nn, ops
from precisions import needs_bfloat16
from tiny_training import SIZES, batch, inputs_and_labels

from bert_thor.compat import use_graph_mode, version
from bert_thor.kernels.ascend.registration import tik_kernels
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.ops import _backend
from bert_thor.optimizer import Thor, preset
from bert_thor.training.inputs import groups_of

PRODUCTS = ("MatMul", "BatchMatMul")
WIDE = ("LayerNorm", "LayerNormGrad", "Softmax", "SoftmaxBackward", "SumExt", "ReduceSum", "UnsortedSegmentSum", "Exp",
        "Log", "LogSoftmax", "LogSoftmaxGrad", "Tanh", "TanhGrad", "Erf", "ReduceMean")  # fmt: skip
"""Statistics, softmax, losses and sums."""
TIK = tik_kernels()
FORMATS = {"Float16": "F16_Default", "Float32": "F32_Default", "UInt8": "U8_Default"}


@pytest.fixture(scope="module", params=["mindspore", "tbe"])
def training(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Operator]:
    """The backward pass of two layers, with dropout: by MindSpore's operators, and with the TIK kernels for a 910, factors included."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graphs")
        patch.chdir(folder)
        use_graph_mode("CPU")
        if request.param == "tbe":
            patch.setattr(_backend, "_first_usable", lambda operation, offered: offered[0])
        else:
            patch.setenv(_backend.VARIABLE, "mindspore")
        sizes = replace(SIZES, hidden_dropout=0.1, attention_dropout=0.1)
        model = BertForPreTraining(sizes, 1, "float16")
        config = replace(preset("thor"), block=16)
        thor = Thor(model, PretrainingLoss(), 1, config=config, groups=groups_of(sizes))
        inputs, labels = inputs_and_labels(batch(0))
        gradients = thor.gradients(len(inputs), request.param == "tbe")
        return operators(folder, lambda: gradients.compile(*inputs, *labels))


def is_ours(cast: Operator) -> bool:
    """Whether a line of our code asks for the cast by name; in MindSpore 2.0, which keeps no more, whether any line does."""
    written = cast.written if version() > (2, 0, 0) else cast.frames[-1].text
    return ".astype(" in written or "cast(" in written


def test_every_cast_is_one_that_we_wrote(training: list[Operator]) -> None:
    casts = [operator for operator in training if operator.name == "Cast"]
    assert casts
    assert [cast for cast in casts if not is_ours(cast)] == []


def test_every_product_is_of_float16(training: list[Operator]) -> None:
    """12 in a layer (4 linear and the 2 of attention forward, twice as many backward), 12 around them: the heads and the decoder."""
    products = [operator for operator in training if operator.name in PRODUCTS]
    assert len(products) == 2 * 18 + 12
    assert {kind for product in products for kind in (*product.inputs, *product.outputs)} == {"Float16"}


def test_statistics_softmax_losses_and_sums_are_float32(training: list[Operator]) -> None:
    wide = [operator for operator in training if operator.name in WIDE]
    sums = {"SumExt", "SoftmaxBackward"} if version() > (2, 0, 0) else {"ReduceSum"}
    assert {"Softmax", "UnsortedSegmentSum", *sums} <= {operator.name for operator in wide}
    assert [operator for operator in wide if operator.floats != {"Float32"}] == []


def test_no_operator_mixes_types(training: list[Operator]) -> None:
    """Where the inputs' types differ the framework, or the device, casts one of them unasked."""
    assert [operator for operator in training if operator.name not in TIK and len(operator.floats) > 1] == []


def test_no_other_floating_point_types(training: list[Operator]) -> None:
    assert set().union(*(operator.floats for operator in training)) == {"Float16", "Float32"}


def test_tik_kernels_take_and_give_what_they_are_registered_for(training: list[Operator]) -> None:
    """The norms of the encoder in float16, that of the embedding in float32."""
    found = [operator for operator in training if operator.name in TIK]
    for operator in found:
        formats = [FORMATS[kind] for kind in (*operator.inputs, *operator.outputs)]
        assert formats in TIK[operator.name].registration.formats, operator
    types = Counter((operator.name, operator.inputs[0]) for operator in found)
    norms = {(name, kind): count for (name, kind), count in types.items() if "norm" in name}
    assert not found or norms == {
        ("layer_norm", "Float32"): 1,
        ("layer_norm", "Float16"): 1,
        ("layer_norm_grad", "Float32"): 1,
        ("layer_norm_grad", "Float16"): 1,
        ("residual_dropout_layer_norm", "Float16"): 4,
        ("residual_dropout_layer_norm_grad", "Float16"): 4,
    }
    assert not found or {kind for (name, kind) in types if name == "fisher_covariance"} == {"Float16"}


@needs_bfloat16
def test_bfloat16_lives_between_our_own_operators_and_casts_that_we_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MindSpore's own on a CPU do not take it, or are slow: one cast behind the embedding, three in the next-sentence head, and back."""
    monkeypatch.chdir(tmp_path)
    use_graph_mode("CPU")
    model = BertForPreTraining(SIZES, 1, "bfloat16")
    thor = Thor(model, PretrainingLoss(), 1, config=replace(preset("thor"), block=8), groups=groups_of(SIZES))
    inputs, labels = inputs_and_labels(batch(0))
    found = operators(tmp_path, lambda: thor.gradients(len(inputs), True).compile(*inputs, *labels))
    narrow = [operator for operator in found if "BFloat16" in (*operator.inputs, *operator.outputs)]
    assert {operator.name for operator in narrow} - {"Reshape"} == {"Custom", "Cast"}
    casts = [operator for operator in narrow if operator.name == "Cast"]
    assert len(casts) == 2 * 4 and all(map(is_ours, casts))


class Careless(nn.Cell):
    """float16 plus float32: the framework casts."""

    def construct(self, x: Tensor, bias: Tensor) -> Any:
        return ops.relu(x + bias)


def test_a_cast_that_nobody_wrote_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use_graph_mode("CPU")
    x, bias = Tensor(np.ones((2, 3)), ms.float16), Tensor(np.ones(3), ms.float32)
    found = operators(tmp_path, lambda: Careless().compile(x, bias))
    assert [is_ours(operator) for operator in found if operator.name == "Cast"] == [False]
