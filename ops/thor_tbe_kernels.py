"""The TIK kernels where MindSpore's TBE compiler looks for them.

It imports the file of a kernel by its bare name and calls the function in it. The kernels' own files are all called tbe.py,
and `tbe` is a package of CANN; this file's name is like no other. MindSpore executes it again for every operator: it holds
no state.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable

from bert_thor.kernels.ascend.registration import tik_kernels


def _entry(kernel: Any) -> Callable[..., None]:
    """`kernel` as a function of this file: MindSpore asks a function for the file that its code is in."""

    def build(*arguments: Any, **keywords: Any) -> None:
        kernel(*arguments, **keywords)

    build.__name__ = kernel.__name__
    build.__doc__ = kernel.__doc__
    build.__dict__.update(registration=kernel.registration, __signature__=inspect.signature(kernel))
    return build


globals().update({name: _entry(kernel) for name, kernel in tik_kernels().items()})
