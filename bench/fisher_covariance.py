"""Cases of fisher_covariance: N rows, d features, block edge b; fp32 or bf16."""

from __future__ import annotations

from typing import Callable

import numpy as np
import peers
from measure import Case

from bert_thor.kernels.fisher_covariance import native


def case(threads: int, n: str, d: str, b: str, dtype: str = "fp32") -> Case:
    rows, features, block = int(n), int(d), int(b)
    x = np.random.default_rng(0).standard_normal((rows, features)).astype(np.float32)
    contenders = _bf16(x, block, threads) if dtype == "bf16" else _fp32(x, block, threads)
    work = rows * features * (block + 1)  # half of the products, each a multiply and an add
    return Case("fisher_covariance", f"{dtype} N={rows} d={features} b={block}", dtype, work, contenders)


def _fp32(x: np.ndarray, block: int, threads: int) -> dict[str, Callable[[], object]]:
    parts = [x[:, first : first + block] for first in range(0, x.shape[1], block)]
    out = native.fisher_covariance(x, block)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.fisher_covariance(x, block, threads=threads, out=(out,)),
        "openblas": lambda: [part.T @ part for part in parts],  # NumPy sees the transpose and calls ssyrk
    }
    if torch := peers.torch(threads):
        tensors = [torch.from_numpy(x)[:, first : first + block] for first in range(0, x.shape[1], block)]
        contenders["pytorch"] = lambda: [tensor.T @ tensor for tensor in tensors]
    if mindspore := peers.mindspore(threads):
        product = mindspore.ops.MatMul(transpose_a=True)
        copies = [mindspore.Tensor(np.ascontiguousarray(part)) for part in parts]
        contenders["mindspore"] = lambda: [product(copy, copy) for copy in copies][-1].asnumpy()
    return contenders


def _bf16(x: np.ndarray, block: int, threads: int) -> dict[str, Callable[[], object]]:
    bits = (x.view(np.uint32) >> 16).astype(np.uint16)
    out = native.fisher_covariance(bits, block)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.fisher_covariance(bits, block, threads=threads, out=(out,))
    }
    if torch := peers.torch(threads):
        whole = torch.from_numpy(x).to(torch.bfloat16)
        tensors = [whole[:, first : first + block] for first in range(0, x.shape[1], block)]
        contenders["pytorch"] = lambda: [tensor.T @ tensor for tensor in tensors]
    return contenders
