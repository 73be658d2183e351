"""The preconditioned gradient of a dense layer as a MindSpore operator."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import aot
from bert_thor.ops._registration import tbe


def _shape(g_inverse: Any, gradient: Any, a_inverse: Any) -> Any:
    return gradient


def precondition() -> ops.Custom:
    """The operator (g_inverse, gradient, a_inverse) -> G^-1 dW A^-1 with packed block-diagonal inverses.

    gradient and result [outputs, inputs], g_inverse [ceil(outputs / bg), bg, bg] and a_inverse
    [ceil(inputs / ba), ba, ba], all float32; of a last block that reaches past its side only the leading part is used.
    It has no gradient. Graph mode and PyNative. On Ascend 910 (tbe) the factors are rounded to float16, each block scaled
    by a power of two.
    """
    backends: dict[str, Callable[..., ops.Custom]] = {"tbe": tbe, "aot": aot}
    return backends[choose("precondition", backends)]("precondition", _shape, ms.float32)
