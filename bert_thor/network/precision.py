"""The precision of a run: the type of the activations between operators, and of the products.

Weights, moments, factors, inverses, statistics, losses and sums are float32 whatever the precision (Micikevicius et al., 2018,
arXiv 1710.03740). float16 has 11 bits and ends at 65504: small gradients need a loss scale. bfloat16 has 8 bits and float32's range.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import mindspore as ms

from bert_thor.compat import is_first_ascend_910
from bert_thor.errors import ConfigError
from bert_thor.kernels.library import InstructionSet, instruction_set
from bert_thor.ops._backend import VARIABLE, requested
from bert_thor.precision import Precision

OPERATIONS = (
    "attention",
    "bias_gelu",
    "dropout",
    "embedding",
    "layer_norm",
    "linear",
    "residual_dropout_layer_norm",
    "softmax_cross_entropy",
)
"""The operations that activations pass through."""


class Choice(NamedTuple):
    """A precision and why it was taken."""

    precision: Precision
    reason: str


def activation_type(precision: Precision) -> Any:
    """MindSpore's type of the activations."""
    return getattr(ms, precision)


def choose_precision(asked: Optional[Precision], device_target: str) -> Choice:
    """The precision of a run on `device_target` ("CPU" or "Ascend"): the one that is asked for, or the device's default.

    Raises `ConfigError` where the device, the line of MindSpore or the backend cannot do it; the sentence says what can.
    """
    choice = Choice(asked, "asked for") if asked is not None else _default(device_target)
    obstacle = _obstacle(choice.precision, device_target)
    if obstacle is not None:
        raise ConfigError(f"precision is {choice.precision}, {obstacle}")
    return choice


def _default(device_target: str) -> Choice:
    if device_target != "CPU":
        if is_first_ascend_910(device_target):
            return Choice("float16", "the first Ascend 910 multiplies float16 only")
        return Choice("bfloat16", "Atlas A2 and A3 multiply bfloat16, and it needs no loss scale")
    reason = "the default on a CPU, where every machine gives the same numbers"
    if has_bfloat16_products() and _obstacle("bfloat16", device_target) is None:
        reason += "; this one multiplies bfloat16: --precision bfloat16 takes little more than half the time at BERT-Base's width"
    return Choice("float32", reason)


def has_bfloat16_products() -> bool:
    """Whether the kernels for CPUs use instructions that multiply bfloat16."""
    return instruction_set() >= InstructionSet.AVX512_BF16


def _obstacle(precision: Precision, device_target: str) -> Optional[str]:
    """What stands in the way, and the remedy, as the rest of a sentence; None where nothing does."""
    if is_first_ascend_910(device_target):
        return None if precision == "float16" else "but the first Ascend 910 multiplies float16 only: use float16"
    if precision == "bfloat16" and not hasattr(ms, "bfloat16"):
        return f"a type that MindSpore {ms.__version__} does not have: use float32 or float16"
    if device_target != "CPU":
        return None
    backends = {requested(operation, ("mindspore", "cpu")).replace("auto", "cpu") for operation in OPERATIONS}
    if precision == "float16" and backends != {"mindspore"}:
        return f"which on a CPU only MindSpore's own operators compute: set {VARIABLE}=mindspore, or use bfloat16"
    if precision == "bfloat16" and backends != {"cpu"}:
        return f"which on a CPU MindSpore's own operators do not take: unset {VARIABLE}, or use float16"
    return None
