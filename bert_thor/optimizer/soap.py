"""SOAP's eigenbases, refreshed on the host between steps: LAPACK's QR and eigenvectors are the cost, not the framework's operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mindspore import Tensor

from bert_thor.optimizer.rules import SoapRule


def start_bases(rules: Sequence[SoapRule], gradients: Sequence[Tensor]) -> None:
    """Before the first step: Q of each side are the eigenvectors of the first gradient's ggᵀ and gᵀg."""
    for rule, gradient in zip(rules, gradients):
        g = gradient.asnumpy().astype(np.float64).reshape(rule.stacked)
        transposed = g.transpose(0, 2, 1)
        _set(rule.basis_left, np.linalg.eigh(g @ transposed)[1])
        _set(rule.basis_right, np.linalg.eigh(transposed @ g)[1])


def refresh_bases(rules: Sequence[SoapRule]) -> None:
    """One step of orthogonal iteration for each side: Q ← qr(F Q)."""
    for rule in rules:
        for factor, basis in ((rule.left, rule.basis_left), (rule.right, rule.basis_right)):
            products = factor.asnumpy() @ basis.asnumpy()
            _set(basis, np.stack([np.linalg.qr(product)[0] for product in products]))


def _set(basis: Any, value: Any) -> None:
    basis.set_data(Tensor(value.astype(np.float32)))
