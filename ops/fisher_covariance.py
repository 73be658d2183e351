"""Fisher covariance as a MindSpore operator: the Kronecker factors of a dense layer, packed."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot


def fisher_covariance(block: int) -> ops.Custom:
    """The operator x -> diagonal blocks of x^T x / N for block edge `block`.

    x [..., d] float32, N being the product of its leading axes; the result is [ceil(d / block), block, block] float32,
    exactly symmetric, its rows and columns past d zero. It has no gradient. Graph mode and PyNative; `ValueError` for
    block < 1.
    """
    if block < 1:
        raise ValueError(f"fisher_covariance: block is {block}; pass a block edge of 1 or more.")
    operator = aot("fisher_covariance", lambda x: (-(-x[-1] // block), block, block), ms.float32)
    # Not for the kernel: the framework takes operators with equal attributes for one and would reuse the other's shape.
    operator.add_prim_attr("block", block)
    return operator
