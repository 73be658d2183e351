"""The cases for the device, in the interpreter: the bounds hold for right results, and wrong ones break them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import prerequisites
import pytest
from operator_cases import SMALL, Case, name


@pytest.mark.parametrize("make", SMALL, ids=name)
def test_the_interpreter_passes(make: partial[Case]) -> None:
    case = make()
    outputs = case.simulate().outputs
    case.check(*outputs)
    for k in range(len(outputs)):
        wrong = [output.copy() for output in outputs]
        flat = wrong[k].reshape(-1)
        flat[flat.size // 2] = np.nan if flat.dtype.kind == "f" else 99
        if k == 1 and case.kernel == "cholesky_inverse":
            wrong[k][:] = 99
        with pytest.raises(AssertionError):
            case.check(*wrong)


def test_without_a_device_one_sentence_says_what_is_missing(tmp_path: Path) -> None:
    sentence = prerequisites.missing(tmp_path)
    assert sentence is not None
    assert sentence.startswith(f"there is no Ascend device ({tmp_path}/davinci0): run this on a machine with")


def test_with_a_device_cann_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "davinci0").touch()
    monkeypatch.delenv("ASCEND_OPP_PATH", raising=False)
    assert prerequisites.missing(tmp_path) == "there is an Ascend device, but CANN is not set up: source its set_env.sh"
