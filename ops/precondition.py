"""The preconditioned gradient of a dense layer as a MindSpore operator."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot


def precondition() -> ops.Custom:
    """The operator (g_inverse, gradient, a_inverse) -> G^-1 dW A^-1 with packed block-diagonal inverses.

    gradient and result [outputs, inputs], g_inverse [ceil(outputs / bg), bg, bg] and a_inverse
    [ceil(inputs / ba), ba, ba], all float32; of a last block that reaches past its side only the leading part is used.
    It has no gradient. Graph mode and PyNative.
    """
    return aot("precondition", lambda g_inverse, gradient, a_inverse: gradient, ms.float32)
