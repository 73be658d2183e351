"""Cases of precondition: gradient [outputs, inputs], block edges bg and ba."""

from __future__ import annotations

from typing import Callable

import numpy as np
import peers
from measure import Case

from bert_thor.kernels.precondition import native


def case(threads: int, outputs: str, inputs: str, bg: str, ba: str) -> Case:
    o, i, g, a = int(outputs), int(inputs), int(bg), int(ba)
    rng = np.random.default_rng(0)
    shapes = [(o // g, g, g), (o, i), (i // a, a, a)]
    g_inverse, gradient, a_inverse = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    out = np.empty_like(gradient)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.precondition(g_inverse, gradient, a_inverse, threads=threads, out=(out,))
    }

    def openblas() -> np.ndarray:
        left = np.matmul(g_inverse, gradient.reshape(o // g, g, i)).reshape(o, i)
        for q, block in enumerate(a_inverse):
            out[:, q * a : (q + 1) * a] = left[:, q * a : (q + 1) * a] @ block
        return out

    contenders["openblas"] = openblas
    if torch := peers.torch(threads):
        tg, tw, ta = map(torch.from_numpy, (g_inverse, gradient, a_inverse))

        def pytorch() -> object:
            left = torch.bmm(tg, tw.view(o // g, g, i)).view(o, i // a, a)
            return torch.bmm(left.transpose(0, 1), ta).transpose(0, 1).reshape(o, i)

        contenders["pytorch"] = pytorch
    if mindspore := peers.mindspore(threads):
        mg, mw, ma = map(mindspore.Tensor, (g_inverse, gradient, a_inverse))
        product = mindspore.ops.BatchMatMul()

        def framework() -> object:
            left = product(mg, mw.reshape(o // g, g, i)).reshape(o, i // a, a).transpose(1, 0, 2)
            return product(left, ma).transpose(1, 0, 2).reshape(o, i).asnumpy()

        contenders["mindspore"] = framework
    return Case("precondition", f"{o}x{i} bg={g} ba={a}", "fp32", 2 * o * i * (g + a), contenders)
