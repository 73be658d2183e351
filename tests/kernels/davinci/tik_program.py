"""Small TIK kernels for the tests: from a Python function to a program, and one instruction on tensors in UB."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci.trace import tik

Described = tuple[tuple[int, ...], str]
DATA = np.ones(16384, np.float32)


def program(
    body: Callable[..., None], inputs: dict[str, Described], outputs: dict[str, Described], **tensor_options: Any
) -> davinci.Program:
    """The program of ``body(tik instance, *input tensors, *output tensors)``."""

    def kernel(kernel_name: str) -> None:
        t = tik.Tik()
        ins = [t.Tensor(dtype, shape, name=n, scope=tik.scope_gm) for n, (shape, dtype) in inputs.items()]
        outs = [
            t.Tensor(dtype, shape, name=n, scope=tik.scope_gm, **tensor_options)
            for n, (shape, dtype) in outputs.items()
        ]
        body(t, *ins, *outs)
        t.BuildCCE(kernel_name=kernel_name, inputs=ins, outputs=outs)

    return davinci.trace(kernel)


def described(array: np.ndarray) -> Described:
    """Shape and dtype of an array."""
    return array.shape, str(array.dtype)


def blocks(array: np.ndarray) -> int:
    """The array's size in blocks of 32 bytes."""
    assert array.nbytes % 32 == 0
    return array.nbytes // 32


def in_ub(call: Callable[..., None], **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """Load one-dimensional arrays into UB, run ``call(tik instance, **tensors)``, and return all tensors."""

    def body(t: Any, *tensors: Any) -> None:
        count = len(arrays)
        local = {}
        for (name, array), source in zip(arrays.items(), tensors[:count]):
            local[name] = t.Tensor(str(array.dtype), array.shape, name=name, scope=tik.scope_ubuf)
            t.data_move(local[name], source, 0, 1, blocks(array), 0, 0)
        call(t, **local)
        for (name, array), target in zip(arrays.items(), tensors[count:]):
            t.data_move(target, local[name], 0, 1, blocks(array), 0, 0)

    inputs = {f"{n}_in": described(a) for n, a in arrays.items()}
    outputs = {f"{n}_out": described(a) for n, a in arrays.items()}
    result = program(body, inputs, outputs).run(*arrays.values())
    return dict(zip(arrays, result.outputs))


def active(mask: Any, width: int) -> list[int]:
    """Element numbers that a mask selects."""
    if isinstance(mask, int):
        return list(range(mask))
    high, low = mask
    return [e for e in range(width) if ((low >> e) & 1 if e < 64 else (high >> (e - 64)) & 1)]


def place(element: int, repeat: int, block_stride: int, repeat_stride: int, itemsize: int) -> int:
    """Where an element of a repeat lies, in elements from the operand's start."""
    per_block = 32 // itemsize
    return (repeat * repeat_stride + element // per_block * block_stride) * per_block + element % per_block


def extent(repeat: int, block_stride: int, repeat_stride: int, itemsize: int) -> int:
    """Elements that an operand needs when every lane is active, in whole blocks."""
    return ((repeat - 1) * repeat_stride + 7 * block_stride + 1) * (32 // itemsize)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, all NaNs being equal."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def busy(call: Callable[..., None], pipe: str, dtype: str = "float32") -> float:
    """Cycles that a pipe is busy with ``call(t, ub)`` alone; ub is 64 KiB."""

    def kernel(with_call: bool) -> float:
        def body(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x, 0, 1, 2048, 0, 0)
            if with_call:
                call(t, ub if dtype == "float32" else ub.reinterpret_cast_to(dtype))
            t.data_move(y, ub, 0, 1, 2048, 0, 0)

        report = program(body, {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).report
        return report.busy[pipe] * report.cycles / 100

    return kernel(True) - kernel(False)
