"""Peers of dropout."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks' own; MindSpore's bfloat16 does not exist on the CPU."""
    contenders: Contenders = {}
    x, probability, *_ = problem.arguments
    if torch := frameworks.torch(threads):
        tensor = to_torch(torch, x)
        contenders["pytorch"] = lambda: torch.nn.functional.dropout(tensor, probability)
    if x.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        operator, copy = mindspore.ops.Dropout(1 - probability), mindspore.Tensor(x)
        contenders["mindspore"] = lambda: operator(copy)[0].asnumpy()
    return contenders
