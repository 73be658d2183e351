"""Peers of add."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks' own; NumPy has no bfloat16 to give to MindSpore."""
    contenders: Contenders = {}
    a, b = problem.arguments
    if torch := frameworks.torch(threads):
        tensors = to_torch(torch, a), to_torch(torch, b)
        contenders["pytorch"] = lambda: torch.add(*tensors)
    if a.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        operator, copies = mindspore.ops.Add(), (mindspore.Tensor(a), mindspore.Tensor(b))
        contenders["mindspore"] = lambda: operator(*copies).asnumpy()
    return contenders
