"""Peers of attention and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import gradient, to_torch
from bert_thor.kernels.cases import PROBABILITY, Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """PyTorch's fused attention; MindSpore's products, softmax and dropout, which take no bfloat16 on the CPU."""
    if problem.function == "attention":
        return _forward(problem, threads)
    contenders: Contenders = {}
    dout, qkv, bias, mask, log_sum_exp, *_ = problem.arguments
    if torch := frameworks.torch(threads):
        inputs = [to_torch(torch, array).requires_grad_() for array in (qkv, bias)]
        output = _pytorch(torch, log_sum_exp.shape[1], inputs[0], inputs[1], to_torch(torch, mask))
        contenders["pytorch"] = gradient(torch, output, inputs, to_torch(torch, dout).view(output.shape))
    return contenders


def _forward(problem: Problem, threads: int) -> Contenders:
    contenders: Contenders = {}
    arrays, heads = problem.arguments[:3], problem.arguments[3]
    if torch := frameworks.torch(threads):
        tensors = [to_torch(torch, array) for array in arrays]
        contenders["pytorch"] = lambda: _pytorch(torch, heads, *tensors)
    if arrays[0].dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        copies = [mindspore.Tensor(array) for array in arrays]
        contenders["mindspore"] = lambda: _mindspore(mindspore.ops, heads, *copies).asnumpy()
    return contenders


def _pytorch(torch: Any, heads: int, qkv: Any, bias: Any, mask: Any) -> Any:
    batch, length = mask.shape
    q, k, v = (qkv + bias.to(qkv.dtype)).view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    fused = torch.nn.functional.scaled_dot_product_attention
    return fused(q, k, v, mask[:, None, None, :].to(q.dtype), PROBABILITY).transpose(1, 2).reshape(batch * length, -1)


def _mindspore(ops: Any, heads: int, qkv: Any, bias: Any, mask: Any) -> Any:
    batch, length = mask.shape
    q, k, v = (qkv + bias).reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = ops.BatchMatMul(transpose_b=True)(q, k) * (q.shape[-1] ** -0.5) + mask.reshape(batch, 1, 1, length)
    weights = ops.Dropout(1 - PROBABILITY)(ops.Softmax()(scores))[0]
    return ops.BatchMatMul()(weights, v).transpose(0, 2, 1, 3).reshape(batch * length, -1)
