"""Two ranks sum gradients in the precision of the exchange, and losses and factors in float32."""

from __future__ import annotations

import json
import sys
from typing import Any, Optional

import numpy as np
import pytest
from ranks import Ranks

from bert_thor.compat import sums_on_a_cpu
from bert_thor.errors import ConfigError
from bert_thor.parallel.precision import exchange_precision

PROGRAM = """
import json, sys
import numpy as np
from mindspore import Tensor
from bert_thor.compat import use_graph_mode
from bert_thor.parallel.collectives import Exchange
from bert_thor.parallel.world import join_world

use_graph_mode("CPU")
world = join_world()
random = np.random.default_rng(world.rank)
gradients = [random.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (7,), (2, 2))]
losses = (np.float32(1.0 + world.rank * 2.0**-20), np.float32(3.0))
for precision in sys.argv[1:]:
    exchange = Exchange(world, [(5, 3), (7,)], [(2, 2)], precision)
    if world.rank == 1 and precision == sys.argv[-1]:
        exchange.request_stop()
    totals, sums = exchange(tuple(map(Tensor, losses)), tuple(map(Tensor, gradients)))
    found = {"losses": [float(x.asnumpy()) for x in totals], "stop": exchange.stop_requested()}
    found["dtypes"] = sorted({str(x.dtype) for x in sums})
    print(json.dumps({precision: {**found, "sums": [x.asnumpy().tolist() for x in sums]}}), flush=True)
"""
LOST = "The state of the cluster is error"


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks found, by precision. MindSpore's cluster loses a message now and then: then both start again."""
    folder = tmp_path_factory.mktemp("exchange")
    (folder / "program.py").write_text(PROGRAM)
    for _ in range(3):
        with Ranks(2, folder, [sys.executable, "program.py", *sums_on_a_cpu()]) as group:
            statuses = group.wait(120)
            logs = [group.log(rank) for rank in range(2)]
        if not any(LOST in log for log in logs):
            break
    assert statuses == [0, 0], "\n".join(logs)
    lines = [[json.loads(line) for line in log.splitlines() if line.startswith('{"float')] for log in logs]
    return [{name: value for line in rank for name, value in line.items()} for rank in lines]


def drawn(rank: int) -> list[np.ndarray]:
    random = np.random.default_rng(rank)
    return [random.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (7,), (2, 2))]


@pytest.mark.parametrize("precision", sums_on_a_cpu())
def test_gradients_are_summed_in_the_precision_of_the_exchange(exchanged: list[dict[str, Any]], precision: str) -> None:
    """Each rank's are rounded, then their sum: a sum in float32 that is rounded afterwards has other bits."""
    pairs = list(zip(drawn(0), drawn(1)))
    for found in exchanged:
        assert found[precision]["dtypes"] == ["Float32"]
        for (one, other), total in zip(pairs[:2], found[precision]["sums"]):
            expected = (one.astype(precision) + other.astype(precision)).astype(np.float32)
            assert np.array_equal(expected, np.array(total, np.float32))


@pytest.mark.parametrize("precision", sums_on_a_cpu())
def test_losses_and_factors_are_float32(exchanged: list[dict[str, Any]], precision: str) -> None:
    expected = ((drawn(0)[2] + drawn(1)[2]) * np.float32(0.5)).tolist()
    for found in exchanged:
        assert found[precision]["losses"] == [2.0 + 2.0**-20, 6.0], "float16 has no 2 + 2^-20"
        assert found[precision]["sums"][2] == expected


def test_the_wish_to_stop_travels_along(exchanged: list[dict[str, Any]]) -> None:
    for found in exchanged:
        assert [found[name]["stop"] for name in sums_on_a_cpu()] == [False] * (len(sums_on_a_cpu()) - 1) + [True]


@pytest.mark.parametrize(
    ("asked", "scaled", "device", "expected"),
    [
        (None, False, "CPU", "float32"),
        (None, True, "CPU", "float32"),
        (None, True, "Ascend", "float16"),
        (None, False, "Ascend", "float32"),
        ("float32", True, "Ascend", "float32"),
        ("float16", True, "Ascend", "float16"),
        ("bfloat16", False, "Ascend", "bfloat16"),
    ],
)
def test_the_precision_of_the_exchange(asked: Optional[str], scaled: bool, device: str, expected: str) -> None:
    assert exchange_precision(asked, scaled, device) == expected


@pytest.mark.parametrize(
    ("asked", "scaled", "device", "fragment"),
    [
        ("float8", False, "CPU", "'float8': use one of float32, float16, bfloat16"),
        ("bfloat16", False, "CPU", "does not sum over processes of a CPU: use float32"),
        ("float16", False, "Ascend", "no loss scale"),
    ],
)
def test_a_precision_that_cannot_be_exchanged(asked: str, scaled: bool, device: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as error:
        exchange_precision(asked, scaled, device)
    assert fragment in str(error.value) and str(error.value).startswith("exchange_precision is")
