"""The damped inverse of symmetric positive definite blocks as a MindSpore operator."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot


def cholesky_inverse() -> ops.Custom:
    """The operator (c, damping) -> (inverse, status) with inverse = (c + damping I)^-1 of every block.

    c [n, b, b] and damping [n] float32, of c only the upper triangle is read; inverse [n, b, b] float32, exactly
    symmetric; status [n] int32: 0, or k > 0 where the k-th pivot is not positive, or -1 where c, damping or the inverse
    is not finite. The inverse of a block with another status than 0 is all zeros: look at the status. It has no
    gradient. Graph mode and PyNative.
    """
    return aot("cholesky_inverse", lambda c, damping: (c, damping), (ms.float32, ms.int32))
