"""Cases of attention and its gradient, dropout 0.1: batch sequences of `length` tokens, heads of `size` features."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import PROBABILITY, SEED, gradient, normal, to_torch
from measure import Case

from bert_thor.kernels.attention import native

SITE = 1


def case(threads: int, batch: str, length: str, heads: str, size: str, direction: str) -> Case:
    """FLOP: two products forward, five backward; the exponentials come on top."""
    b, s, h, d = int(batch), int(length), int(heads), int(size)
    qkv, bias, mask = normal(b * s, 3 * h * d), normal(3 * h * d, seed=1), np.zeros((b, s), np.float32)
    shape = f"{direction} fp32 {b} x {s}, {h} heads of {d}"
    work = (4 if direction == "forward" else 10) * b * s**2 * h * d
    contenders: dict[str, Callable[[], object]] = {}
    torch = peers.torch(threads)
    if direction == "forward":
        arguments = (qkv, bias, mask, h, PROBABILITY, SEED, SITE)
        out = native.attention(*arguments)
        contenders["ours"] = lambda: native.attention(*arguments, threads=threads, out=out)
        if torch:
            tensors = [to_torch(torch, a) for a in (qkv, bias, mask)]
            contenders["pytorch"] = lambda: _pytorch(torch, *tensors, h)
        if mindspore := peers.mindspore(threads):
            copies = [mindspore.Tensor(a) for a in (qkv, bias, mask)]
            contenders["mindspore"] = lambda: _mindspore(mindspore.ops, *copies, h).asnumpy()
        return Case("attention", shape, "fp32", work, contenders)
    dout = normal(b * s, h * d, seed=2)
    _, log_sum_exp = native.attention(qkv, bias, mask, h, PROBABILITY, SEED, SITE)
    saved = (dout, qkv, bias, mask, log_sum_exp, PROBABILITY, SEED, SITE)
    gradients = native.attention_grad(*saved)
    contenders["ours"] = lambda: native.attention_grad(*saved, threads=threads, out=gradients)
    if torch:
        inputs = [to_torch(torch, a).requires_grad_() for a in (qkv, bias)]
        output = _pytorch(torch, *inputs, to_torch(torch, mask), h)
        contenders["pytorch"] = gradient(torch, output, inputs, to_torch(torch, dout).view(output.shape))
    return Case("attention", shape, "fp32", work, contenders)


def _pytorch(torch: Any, qkv: Any, bias: Any, mask: Any, heads: int) -> Any:
    batch, length = mask.shape
    q, k, v = (qkv + bias).view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    fused = torch.nn.functional.scaled_dot_product_attention
    return fused(q, k, v, mask[:, None, None, :], PROBABILITY).transpose(1, 2).reshape(batch * length, -1)


def _mindspore(ops: Any, qkv: Any, bias: Any, mask: Any, heads: int) -> Any:
    batch, length = mask.shape
    q, k, v = (qkv + bias).reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = ops.BatchMatMul(transpose_b=True)(q, k) * (q.shape[-1] ** -0.5) + mask.reshape(batch, 1, 1, length)
    weights = ops.Dropout(1 - PROBABILITY)(ops.Softmax()(scores))[0]
    return ops.BatchMatMul()(weights, v).transpose(0, 2, 1, 3).reshape(batch * length, -1)
