"""Nothing is endless: tensors are not iterated, kernels and runs have a largest length, and the error names the line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.run import execute
from bert_thor.kernels.davinci.trace import control, tik

X = np.ones(64, np.float32)
ONE = {"x": ((64,), "float32")}, {"y": ((64,), "float32")}


def test_a_tensor_cannot_be_iterated() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        for _ in x:
            pass

    with pytest.raises(errors.ArgumentError, match=r"test_limits.py:\d+: x cannot be iterated in Python"):
        program(body, *ONE)


def test_bare_tensors_are_the_kernels_inputs_and_outputs() -> None:
    def kernel(kernel_name: str) -> None:
        t = tik.Tik()
        x, y = (t.Tensor("float32", (64,), name=n, scope=tik.scope_gm) for n in "xy")
        ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 8, 0, 0)
        t.data_move(y, ub, 0, 1, 8, 0, 0)
        t.BuildCCE(kernel_name, inputs=x, outputs=y)

    built = davinci.trace(kernel)
    assert [built.inputs[0][0], built.outputs[0][0]] == ["x", "y"]
    assert np.array_equal(built.run(X).outputs[0], X)


def unrolled(times: int) -> davinci.Program:
    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
        for _ in range(times):
            t.data_move(ub, x, 0, 1, 8, 0, 0)
        t.data_move(y, ub, 0, 1, 8, 0, 0)

    return program(body, *ONE)


def test_a_kernel_has_a_largest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_NODES", 100)
    unrolled(90)
    with pytest.raises(errors.LimitError, match=r"test_limits.py:\d+: the kernel is longer than 100"):
        unrolled(110)


def test_a_run_has_a_largest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 8, 0, 0)
        with t.for_range(0, 1000):
            t.vadds(64, ub, ub, 1.0, 1, 1, 1, 8, 8)
        t.data_move(y, ub, 0, 1, 8, 0, 0)

    counting = program(body, *ONE)
    assert (counting.run(X).outputs[0] == 1001).all()
    monkeypatch.setattr(execute, "MAX_STEPS", 500)
    with pytest.raises(errors.LimitError, match=r"test_limits.py:\d+: the program takes more than 500 steps"):
        counting.run(X)


def test_a_run_has_a_largest_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = unrolled(1)
    copy.run(X)
    monkeypatch.setattr(execute, "MAX_LOCAL_BYTES", 511)
    with pytest.raises(errors.LimitError, match=r"test_limits.py:\d+: ub needs 512 B for 1 cores"):
        copy.run(X)
