from __future__ import annotations

from pathlib import Path

import mindspore as ms
import pytest

from bert_thor.ops import _backend


@pytest.fixture(autouse=True)
def scratch_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MindSpore leaves files in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["cpu", "mindspore"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test with the kernel for CPUs and with MindSpore's own operators."""
    monkeypatch.setenv(_backend.VARIABLE, request.param)
    return str(request.param)


@pytest.fixture(params=[ms.PYNATIVE_MODE, ms.GRAPH_MODE], ids=["pynative", "graph"])
def mode(request: pytest.FixtureRequest) -> int:
    """Runs the test once in each of MindSpore's modes."""
    ms.set_context(mode=request.param, device_target="CPU")
    return int(request.param)
