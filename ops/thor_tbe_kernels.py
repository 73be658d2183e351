"""The TIK kernels where MindSpore's TBE compiler looks for them.

It imports the file of a kernel by its bare name and calls the function in it. The kernels' own files are all called tbe.py,
and `tbe` is a package of CANN; this file's name is like no other. MindSpore executes it again for every operator: it holds
no state. Entries for a new kernel: one line here.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable

from bert_thor.kernels.cholesky_inverse import tbe as _cholesky_inverse
from bert_thor.kernels.fisher_covariance import tbe as _fisher_covariance
from bert_thor.kernels.layer_norm import tbe as _layer_norm
from bert_thor.kernels.precondition import tbe as _precondition
from bert_thor.kernels.residual_dropout_layer_norm import tbe as _residual_dropout_layer_norm


def _entry(kernel: Any) -> Callable[..., None]:
    """`kernel` as a function of this file: MindSpore asks a function for the file that its code is in."""

    def build(*arguments: Any, **keywords: Any) -> None:
        kernel(*arguments, **keywords)

    build.__name__ = kernel.__name__
    build.__doc__ = kernel.__doc__
    build.__dict__.update(registration=kernel.registration, __signature__=inspect.signature(kernel))
    return build


cholesky_inverse = _entry(_cholesky_inverse.cholesky_inverse)
fisher_covariance = _entry(_fisher_covariance.fisher_covariance)
layer_norm = _entry(_layer_norm.layer_norm)
layer_norm_grad = _entry(_layer_norm.layer_norm_grad)
precondition = _entry(_precondition.precondition)
residual_dropout_layer_norm = _entry(_residual_dropout_layer_norm.residual_dropout_layer_norm)
residual_dropout_layer_norm_grad = _entry(_residual_dropout_layer_norm.residual_dropout_layer_norm_grad)
residual_layer_norm = _entry(_residual_dropout_layer_norm.residual_layer_norm)
residual_layer_norm_grad = _entry(_residual_dropout_layer_norm.residual_layer_norm_grad)
