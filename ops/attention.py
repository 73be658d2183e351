"""Multi-head self-attention as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], "tuple[Tensor, Tensor]"]

_gradient = aot(
    "attention_grad",
    lambda dout, qkv, bias, mask, log_sum_exp, probability, seed, site: (qkv, bias),
    (ms.float32, ms.float32),
)


def _backward(qkv: Any, bias: Any, mask: Any, probability: Any, seed: Any, site: Any, out: Any, dout: Any) -> Any:
    dqkv, dbias = _gradient(dout[0], qkv, bias, mask, out[1], probability, seed, site)
    zeros = ops.zeros_like
    return dqkv, dbias, zeros(mask), zeros(probability), zeros(seed), zeros(site)


def attention(heads: int) -> Attention:
    """The operator (qkv, bias, mask, probability, seed, site) -> (out, log_sum_exp) for `heads` heads.

    out = dropout(softmax(q k^T / sqrt(head size) + mask)) v; q, k and v are the thirds of qkv + bias.
    qkv [batch * length, 3 * hidden], bias [3 * hidden], mask [batch, length] (added to the scores), probability [1]
    float32; seed [4] int32 = (key low, key high, step, slice), site [1] int32: as for `dropout`. out [batch * length,
    hidden], log_sum_exp [batch, heads, length] float32. Gradients flow to qkv and bias, through out alone. Graph mode and
    PyNative.
    """

    def shapes(qkv: Any, bias: Any, mask: Any, probability: Any, seed: Any, site: Any) -> Any:
        return [qkv[0], qkv[1] // 3], [mask[0], heads, mask[1]]

    operator = aot("attention", shapes, (ms.float32, ms.float32), bprop=_backward)
    operator.add_prim_attr("heads", heads)  # MindSpore takes operators with equal attributes for one and the same
    typed: Attention = operator
    return typed
