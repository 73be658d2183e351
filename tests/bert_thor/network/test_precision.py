"""The choice of a precision: defaults by device, what is refused, and that the first line of a run may promise what it says."""

from __future__ import annotations

from typing import Optional

import pytest
from precisions import AVAILABLE

from bert_thor import compat
from bert_thor.errors import ConfigError
from bert_thor.kernels.library import InstructionSet
from bert_thor.network import precision
from bert_thor.network.precision import activation_type, choose_precision
from bert_thor.ops._backend import VARIABLE
from bert_thor.precision import Precision


@pytest.fixture(autouse=True)
def no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asked for, in a line of MindSpore that has every type."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(precision.ms, "bfloat16", getattr(precision.ms, "bfloat16", object()), raising=False)


def test_types() -> None:
    assert [str(activation_type(name)).lower() for name in AVAILABLE] == list(AVAILABLE)


@pytest.mark.parametrize(
    ("device", "version", "expected"),
    [
        ("CPU", "2.10.0", "float32"),
        ("CPU", "2.0.0", "float32"),
        ("Ascend", "1.10.1", "float16"),
        ("Ascend", "2.0.0", "float16"),
        ("Ascend", "2.10.0", "bfloat16"),
    ],
)
def test_default(monkeypatch: pytest.MonkeyPatch, device: str, version: str, expected: str) -> None:
    monkeypatch.setattr(compat.ms, "__version__", version)
    assert choose_precision(None, device).precision == expected


@pytest.mark.parametrize("instructions", InstructionSet)
@pytest.mark.parametrize("request_", ["", "mindspore"])
def test_bfloat16_is_praised_only_where_it_saves(
    monkeypatch: pytest.MonkeyPatch, instructions: InstructionSet, request_: str
) -> None:
    monkeypatch.setenv(VARIABLE, request_)
    monkeypatch.setattr(precision, "instruction_set", lambda: instructions)
    praised = "--precision bfloat16" in choose_precision(None, "CPU").reason
    assert praised == (instructions == InstructionSet.AVX512_BF16 and not request_)


@pytest.mark.parametrize(
    ("asked", "backend", "remedy"),
    [
        ("float16", "", "set THOR_BACKEND=mindspore"),
        ("float16", "cpu", "set THOR_BACKEND=mindspore"),
        ("float16", "mindspore,embedding=cpu", "set THOR_BACKEND=mindspore"),
        ("float16", "mindspore", None),
        ("bfloat16", "mindspore", "unset THOR_BACKEND"),
        ("bfloat16", "linear=mindspore", "unset THOR_BACKEND"),
        ("bfloat16", "adam=mindspore", None),
        ("bfloat16", "", None),
        ("float32", "mindspore", None),
    ],
)
def test_backends_of_a_cpu(
    monkeypatch: pytest.MonkeyPatch, asked: Precision, backend: str, remedy: Optional[str]
) -> None:
    monkeypatch.setenv(VARIABLE, backend)
    if remedy is None:
        assert choose_precision(asked, "CPU") == (asked, "asked for")
        return
    with pytest.raises(ConfigError, match=remedy) as refusal:
        choose_precision(asked, "CPU")
    assert str(refusal.value).startswith(f"precision is {asked}, which on a CPU ")


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_the_first_ascend_910_multiplies_float16_only(monkeypatch: pytest.MonkeyPatch, asked: Precision) -> None:
    monkeypatch.setattr(compat.ms, "__version__", "2.0.0")
    with pytest.raises(ConfigError, match=f"precision is {asked}, but the first Ascend 910 .*: use float16"):
        choose_precision(asked, "Ascend")


@pytest.mark.parametrize("device", ["CPU", "Ascend"])
def test_a_line_without_bfloat16(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(compat.ms, "__version__", "2.1.0")  # on Ascend: of a device that multiplies it
    monkeypatch.delattr(precision.ms, "bfloat16")
    with pytest.raises(ConfigError, match="does not have: use float32 or float16"):
        choose_precision("bfloat16", device)
