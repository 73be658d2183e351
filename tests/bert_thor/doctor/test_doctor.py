"""`bert-thor doctor`: says what is there, finds a wrong kernel, and ends with a status that a script can use."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_thor.cli import main
from bert_thor.doctor import examination as module
from bert_thor.doctor import self_test
from bert_thor.kernels.cases import operations, small
from bert_thor.kernels.library import InstructionSet, instruction_set


def problems(folder: Path) -> list[str]:
    return module.doctor(folder).problems


def test_one_block_and_status_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--run", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "bert-thor",
        "python",
        "mindspore",
        "ascend",
        "processor",
        "instruction set",
        "threads",
        "compiler",
        "disk",
    ):
        assert f"\n{part}" in "\n" + printed, part
    assert len(printed.split("kernels SHA-256")[1].split()[0]) == 64
    assert printed.rstrip().endswith("all well")


def test_every_instruction_set_is_compared_and_the_one_in_use_stays() -> None:
    before = instruction_set()
    seen = {verdict.instruction_set for verdict in self_test.self_test()}
    assert seen == {isa for isa in InstructionSet if isa <= before} and instruction_set() == before


def test_works_without_mindspore() -> None:
    program = "import sys; sys.modules['mindspore'] = None\nfrom bert_thor.cli import main\nmain(['doctor'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "softmax_cross_entropy" in done.stdout and "ok" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "spoil", [lambda y: y * np.float32(1.001), lambda y: y * np.float32(np.nan)], ids=["0.1 %", "NaN"]
)
@pytest.mark.parametrize("operation", operations())
def test_a_wrong_kernel_is_found(
    operation: str, spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    native = import_module(f"bert_thor.kernels.{operation}.native")
    function = next(small(operation)).function
    right = getattr(native, function)

    def wrong(*arguments: Any) -> Any:
        outputs = right(*arguments)
        return (spoil(outputs[0]), *outputs[1:]) if isinstance(outputs, tuple) else spoil(outputs)

    monkeypatch.setattr(native, function, wrong)
    monkeypatch.setattr(self_test, "operations", lambda: [operation])
    assert main(["doctor", "--run", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "WRONG" in printed and f"{operation} computes wrong results" in printed and "THOR_MAX_ISA=" in printed


def test_an_operation_without_a_comparison_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "small", lambda operation: iter(()))
    assert not any(verdict.passed for verdict in self_test.self_test())


def test_missing_and_foreign_parts_have_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise ImportError("libthor_kernels.so does not exist: build it")

    monkeypatch.setattr(self_test, "operations", list)
    assert problems(tmp_path) == []
    monkeypatch.setattr(module, "LOW_DISK", 1 << 60)
    assert "disk are free" in problems(tmp_path)[0]
    monkeypatch.setattr(module, "_version", {"mindspore": "1.3.0", "numpy": "2.0.1"}.get)
    sentences = "\n".join(problems(tmp_path))
    assert "MindSpore 1.3.0 is not a tested version" in sentences and "numpy<2" in sentences
    assert "safetensors is not installed" in sentences
    monkeypatch.setattr(module, "library_path", absent)
    assert "build it" in problems(tmp_path)[-1]


def test_memory_that_holds_copies_of_files_is_available(tmp_path: Path) -> None:
    table = tmp_path / "meminfo"
    table.write_text(
        "MemTotal:       24000000 kB\nMemFree:          900000 kB\nMemAvailable:   12000000 kB\nHugePages_Total:       0\n"
    )
    assert module.available_memory(table) == 12_000_000 * 1024
    assert module.available_memory(tmp_path / "missing") > 0
    table.write_text("nonsense")
    assert module.available_memory(table) > 0
