"""L2 norms of the parts of a tensor as a MindSpore operator."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot


def l2_norm(parts: int = 1) -> ops.Custom:
    """The operator x -> [parts]: the L2 norm of each of that many equal parts of x, float32.

    It has no gradient. Graph mode and PyNative.
    """
    return aot("l2_norm", [parts], ms.float32)
