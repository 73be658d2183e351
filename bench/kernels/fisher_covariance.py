"""Peers of fisher_covariance: a product for each block of columns."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """OpenBLAS knows that the product of a matrix with itself is symmetric; it and MindSpore have no bfloat16 on the CPU.

    None weighs rows.
    """
    x, block, *weights = problem.arguments
    if weights:
        return {}
    cuts = [slice(first, first + block) for first in range(0, x.shape[1], block)]
    parts = [x[:, cut] for cut in cuts]
    contenders: Contenders = {}
    if x.dtype == np.float32:
        contenders["openblas"] = lambda: [part.T @ part for part in parts]  # NumPy sees the transpose and calls ssyrk
    if torch := frameworks.torch(threads):
        whole = to_torch(torch, x)
        tensors = [whole[:, cut] for cut in cuts]
        contenders["pytorch"] = lambda: [tensor.T @ tensor for tensor in tensors]
    if x.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        product = mindspore.ops.MatMul(transpose_a=True)
        copies = [mindspore.Tensor(np.ascontiguousarray(part)) for part in parts]
        contenders["mindspore"] = lambda: [product(copy, copy) for copy in copies][-1].asnumpy()
    return contenders
