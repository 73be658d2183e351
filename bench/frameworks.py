"""The libraries that the kernels are compared with; each is optional.

PyTorch lies in build/peers, where `make bench` puts it: the environment that trains stays without it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "build" / "peers"))


def missing() -> list[str]:
    """Names of the peers that are not installed."""
    names = {"scipy": "OpenBLAS (scipy)", "torch": "PyTorch", "mindspore": "MindSpore"}
    return [name for module, name in names.items() if find_spec(module) is None]


def torch(threads: int) -> Optional[Any]:
    """PyTorch on `threads` threads, or None."""
    try:
        import torch as module
    except ImportError:
        return None
    module.set_num_threads(threads)
    return module


def mindspore(threads: int) -> Optional[Any]:
    """MindSpore in PyNative mode on `threads` threads, or None."""
    try:
        import mindspore as module
    except ImportError:
        return None
    module.set_context(mode=module.PYNATIVE_MODE)
    module.set_context(runtime_num_threads=threads)
    return module


def to_torch(torch: Any, array: np.ndarray) -> Any:
    """The same numbers as a PyTorch tensor without a copy; uint16 becomes bfloat16, int32 int64 as indices have to be."""
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array)


def gradient(torch: Any, output: Any, inputs: list[Any], dy: Any) -> Any:
    """A call that computes the gradients of `inputs` again and again through one recorded graph."""
    return lambda: torch.autograd.grad(output, inputs, dy, retain_graph=True)
