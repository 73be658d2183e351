"""Cases of bias_gelu and its gradient: rows x features."""

from __future__ import annotations

from typing import Callable

import peers
from data import gradient, normal, to_torch
from measure import Case

from bert_thor.kernels.bias_gelu import native


def case(threads: int, rows: str, features: str, direction: str) -> Case:
    """Bytes: x and y forward; dy, x and dx backward."""
    x, bias = normal(int(rows), int(features)), normal(int(features), seed=1)
    shape = f"{direction} fp32 {rows}x{features}"
    contenders: dict[str, Callable[[], object]] = {}
    torch = peers.torch(threads)
    gelu = torch.nn.functional.gelu if torch else None
    if direction == "backward":
        dy = normal(*x.shape, seed=2)
        outputs = native.bias_gelu_grad(dy, x, bias)
        contenders["ours"] = lambda: native.bias_gelu_grad(dy, x, bias, threads=threads, out=outputs)
        if torch:
            inputs = [to_torch(torch, a).requires_grad_() for a in (x, bias)]
            contenders["pytorch"] = gradient(torch, gelu(inputs[0] + inputs[1]), inputs, to_torch(torch, dy))
        return Case("bias_gelu", shape, "copy", 3 * x.nbytes, contenders)
    out = (native.bias_gelu(x, bias),)
    contenders["ours"] = lambda: native.bias_gelu(x, bias, threads=threads, out=out)
    if torch:
        tx, tbias = to_torch(torch, x), to_torch(torch, bias)
        contenders["pytorch"] = lambda: gelu(tx + tbias)
    if mindspore := peers.mindspore(threads):
        mx, mbias = mindspore.Tensor(x), mindspore.Tensor(bias)
        contenders["mindspore"] = lambda: mindspore.ops.gelu(mx + mbias, approximate="none").asnumpy()
    return Case("bias_gelu", shape, "copy", 2 * x.nbytes, contenders)
