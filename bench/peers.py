"""The frameworks that serve as peers; each is optional."""

from __future__ import annotations

from typing import Any, Optional


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
