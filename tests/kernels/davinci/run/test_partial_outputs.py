"""Outputs of which the kernel defines a part: the description says which, everything else may be anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik


def flags(seen: list[Any], stored: int = 2) -> Any:
    """A kernel that sets the first number of each block of 16 and stores whole blocks."""

    def kernel(x: dict[str, Any], flag: dict[str, Any], kernel_name: str = "flags") -> None:
        seen.append(flag)
        t = tik.Tik()
        x_gm, flag_gm = (t.Tensor(d["dtype"], d["shape"], tik.scope_gm, n) for d, n in ((x, "x"), (flag, "flag")))
        with t.for_range(0, stored) as i:
            ub = t.Tensor("uint16", (16,), tik.scope_ubuf, "ub")
            ub[0].set_as(7)
            t.data_move(flag_gm[i * 16], ub, 0, 1, 1, 0, 0)
        t.BuildCCE(kernel_name, [x_gm], [flag_gm])

    return kernel


X = np.zeros(16, np.float16)
FLAG = {"shape": (2, 16), "dtype": "uint16"}


def test_what_the_kernel_promises_is_checked() -> None:
    seen: list[Any] = []
    with pytest.raises(
        errors.PoisonError, match=r"element 1 of flag .* \(30 such\).* say which elements are with 'defined'"
    ):
        davinci.trace(flags(seen), X, FLAG).run(X)
    for index in (np.s_[:, 0], np.s_[1, :1], np.arange(16) == 0):
        if isinstance(index, np.ndarray):
            index = np.broadcast_to(index, (2, 16))
        found = davinci.trace(flags(seen), X, {**FLAG, "defined": index}).run(X).outputs[0]
        assert found.shape == (2, 16) and found[:, 0].tolist() == [7, 7]
    with pytest.raises(errors.PoisonError, match="element 1 of flag"):
        davinci.trace(flags(seen), X, {**FLAG, "defined": np.s_[:, :2]}).run(X)
    assert all("defined" not in description for description in seen)


def test_what_is_promised_is_written() -> None:
    described = {**FLAG, "defined": np.s_[:, 0]}
    with pytest.raises(errors.UnwrittenOutputError, match=r"element 16 of 32 was never written \(1 are missing\)"):
        davinci.trace(flags([], stored=1), X, described).run(X)
    assert davinci.trace(flags([], stored=1), X, {**described, "defined": np.s_[0, 0]}).run(X).outputs[0][0, 0] == 7


def test_promises_that_fit_nothing() -> None:
    with pytest.raises(errors.ArgumentError, match="'defined' of flag: index 16 is out of bounds"):
        davinci.trace(flags([]), X, {**FLAG, "defined": np.s_[:, 16]})

    def three(x: Any, y: Any, flag: Any, kernel_name: str = "three") -> None:
        flags([])(x, flag)

    with pytest.raises(errors.ArgumentError, match="flags has 2 inputs and outputs for 3 descriptions"):
        davinci.trace(three, X, X, {**FLAG, "defined": np.s_[:, 0]})
