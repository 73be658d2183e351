"""Every operator with kernels for Ascend 910, with each of them, against the reference; its time beside the simulated one.

A line per case: the median time of a call less that of a graph that only adds one, and what the interpreter predicts for
the TIK kernel at 1 GHz. Calls are timed from the host, so what takes less than some 50 us is lost in their scatter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from operator_cases import LARGE, SMALL, Case, name

from bert_thor.ops import _backend

pytestmark = pytest.mark.ascend

WARM_UP, CALLS = 3, 20
SIMULATED = 2e8  # bytes of inputs above which the interpreter is not asked: it would take minutes


class Call(nn.Cell):
    """A graph of one operator."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator = operator

    def construct(self, *inputs: Tensor) -> Any:
        return self.operator(*inputs)


@pytest.fixture(scope="module", autouse=True)
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Graph mode on the device, in a folder that compilers may litter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ascend"))
        ms.set_context(mode=ms.GRAPH_MODE, device_target="Ascend")
        yield


@pytest.fixture(scope="module")
def floor() -> float:
    """Seconds of the cheapest call."""
    return seconds(Call(ops.ReLU()), [Tensor(np.ones(16, np.float32))])


def seconds(cell: nn.Cell, inputs: list[Tensor]) -> float:
    """Median over calls that wait for their result."""
    times = []
    for _ in range(WARM_UP + CALLS):
        begin = time.perf_counter()
        result = cell(*inputs)
        (result[0] if isinstance(result, tuple) else result).asnumpy()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM_UP:])


@pytest.mark.parametrize("make", [*SMALL, *LARGE], ids=name)
def test_against_the_reference(
    make: partial[Case], floor: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make()
    inputs = [Tensor(x) for x in case.inputs]
    small = sum(x.nbytes for x in case.inputs) <= SIMULATED
    expected = f"{case.simulate().cycles / 1000:10.1f} us simulated (tbe)" if small else ""
    for backend in case.backends:
        monkeypatch.setenv(_backend.VARIABLE, backend)
        cell = Call(case.make())
        result = cell(*inputs)
        case.check(*(x.asnumpy() for x in (result if isinstance(result, tuple) else (result,))))
        taken = 1e6 * (seconds(cell, inputs) - floor)
        with capsys.disabled():
            print(f"\n{case.name:44} {backend:4} {taken:10.1f} us {expected}", end="")
