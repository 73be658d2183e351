"""Random inputs of the cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bert_thor.kernels.arrays import empty_array

Array = npt.NDArray[Any]

SEED = np.array([1, 2, 3, 4], np.int32)
PROBABILITY = 0.1


def normal(*shape: int, dtype: str = "fp32", seed: int = 0) -> Array:
    """Standard normal numbers: float32, or bfloat16 bit patterns as uint16 (cut off, not rounded).

    They start at a cache line, as the tensors of MindSpore and PyTorch do.
    """
    x = np.random.default_rng(seed).standard_normal(shape, np.float32)
    x = x if dtype == "fp32" else (x.view(np.uint32) >> 16).astype(np.uint16)
    aligned = empty_array(x.shape, x.dtype.type)
    aligned[...] = x
    return aligned


def to_torch(torch: Any, array: Array) -> Any:
    """The same numbers as a PyTorch tensor without a copy; uint16 becomes bfloat16, int32 int64 as indices have to be."""
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array)


def gradient(torch: Any, output: Any, inputs: list[Any], dy: Any) -> Any:
    """A call that computes the gradients of `inputs` again and again through one recorded graph."""
    return lambda: torch.autograd.grad(output, inputs, dy, retain_graph=True)
