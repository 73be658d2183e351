"""Peers of bias_gelu and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import gradient, to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The sum and the framework's GELU; MindSpore's takes no bfloat16 on the CPU."""
    contenders: Contenders = {}
    torch = frameworks.torch(threads)
    gelu: Any = torch.nn.functional.gelu if torch else None
    if problem.function == "bias_gelu_grad":
        dy, x, bias = problem.arguments
        if torch:
            inputs = [to_torch(torch, array).requires_grad_() for array in (x, bias)]
            contenders["pytorch"] = gradient(
                torch, gelu(inputs[0] + inputs[1].to(inputs[0].dtype)), inputs, to_torch(torch, dy)
            )
        return contenders
    x, bias = problem.arguments
    if torch:
        tx, tbias = to_torch(torch, x), to_torch(torch, bias)
        contenders["pytorch"] = lambda: gelu(tx + tbias.to(tx.dtype))
    if x.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        mx, mbias = mindspore.Tensor(x), mindspore.Tensor(bias)
        contenders["mindspore"] = lambda: mindspore.ops.gelu(mx + mbias, approximate="none").asnumpy()
    return contenders
