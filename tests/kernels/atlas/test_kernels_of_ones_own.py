"""A Triton kernel of one's own: five lines, errors in one sentence, lines of the source, the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert_thor.kernels import atlas
from bert_thor.kernels.atlas.errors import ArgumentError, CompileError, UnsupportedKernelError

pytestmark = pytest.mark.atlas

SOURCE = """import triton
import triton.language as tl


@triton.jit
def scale(x, y, n, factor, WIDTH: tl.constexpr):
    item = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    tl.store(y + item, tl.load(x + item, mask=item < n, other=0.0) * factor, mask=item < n)


@triton.jit
def everyone_writes_the_same_place(x, y, WIDTH: tl.constexpr):
    item = tl.arange(0, WIDTH)
    tl.store(y + item, tl.load(x + item))


@triton.jit
def too_large(x, y, WIDTH: tl.constexpr):
    item = tl.arange(0, WIDTH)
    tl.store(y + item, tl.exp(tl.load(x + item)) + tl.load(x + item))


@triton.jit
def cube_and_vector(x, y, EDGE: tl.constexpr):
    i = tl.arange(0, EDGE)
    tile = tl.load(x + i[:, None] * EDGE + i[None, :])
    tl.store(y + i[:, None] * EDGE + i[None, :], tl.dot(tile, tile) * 2.0)


@triton.jit
def sum_of_products(x, y, turns, EDGE: tl.constexpr):
    i = tl.arange(0, EDGE)
    at = i[:, None] * EDGE + i[None, :]
    total = tl.zeros((EDGE, EDGE), dtype=tl.float32)
    for _ in range(turns):
        tile = tl.load(x + at)
        total = tl.dot(tile, tile, total, input_precision="ieee")
    tl.store(y + at, total)


@triton.jit
def reads_past_the_end(x, y, WIDTH: tl.constexpr):
    item = tl.arange(0, WIDTH)
    tl.store(y + item, tl.load(x + item + 8))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    return path


def run(file: Path, name: str, grid: tuple[int, ...], arguments: tuple, **constants: int) -> atlas.Result:
    kernel = atlas.load(f"{file}:{name}")
    return atlas.Program(kernel, atlas.compile_kernel(kernel, arguments, constants)).run(grid, *arguments)


def test_five_lines(file: Path) -> None:
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    result = run(file, "scale", (2,), (x, y, 100, 0.5), WIDTH=64)
    assert (y == x / 2).all() and result.hazards == () and result.cycles > 0
    assert "hazards 0" in result.report and result.count.moved == {"MTE2": 400, "MTE3": 400}


def test_a_race_of_programs_names_the_line(file: Path) -> None:
    x, y = np.ones(64, np.float32), np.zeros(64, np.float32)
    hazards = run(file, "everyone_writes_the_same_place", (2,), (x, y), WIDTH=64).hazards
    assert ["programs race" in hazard.sentence for hazard in hazards] == [True]
    assert hazards[0].place == f"{file}:14"


def test_a_read_past_an_argument_names_the_line(file: Path) -> None:
    x, y = np.ones(64, np.float32), np.zeros(64, np.float32)
    hazards = run(file, "reads_past_the_end", (1,), (x, y), WIDTH=64).hazards
    assert any("outside of every argument" in hazard.sentence and hazard.place == f"{file}:44" for hazard in hazards)


def test_a_sum_of_no_products_is_never_written(file: Path) -> None:
    """A fault of the compiled code, which hides on a device until L0C holds something else."""
    x, y = np.eye(32, dtype=np.float32), np.zeros((32, 32), np.float32)
    assert run(file, "sum_of_products", (1,), (x, y, 3), EDGE=32).hazards == () and (y == 3 * x).all()
    hazards = run(file, "sum_of_products", (1,), (x, y, 0), EDGE=32).hazards
    assert [hazard.sentence for hazard in hazards] == ["read of L0C that nothing wrote"]


def test_what_the_compiler_refuses_is_said_in_its_words(file: Path) -> None:
    x, y = np.ones(65536, np.float32), np.zeros(65536, np.float32)
    with pytest.raises(CompileError, match="ub overflow"):
        run(file, "too_large", (1,), (x, y), WIDTH=65536)


def test_a_kernel_on_both_kinds_of_core_is_refused(file: Path) -> None:
    x, y = np.ones((32, 32), np.float32), np.zeros((32, 32), np.float32)
    with pytest.raises(UnsupportedKernelError, match="split it into two"):
        run(file, "cube_and_vector", (1,), (x, y), EDGE=32)


def test_arguments_are_checked(file: Path) -> None:
    x = np.ones(64, np.float32)
    with pytest.raises(ArgumentError, match="needs a value for WIDTH"):
        run(file, "scale", (1,), (x, x.copy(), 64, 0.5))
    with pytest.raises(ArgumentError, match="float64"):
        run(file, "scale", (1,), (x.astype(np.float64), x, 64, 0.5), WIDTH=64)
    with pytest.raises(ArgumentError, match="at least one program"):
        run(file, "scale", (0,), (x, x.copy(), 64, 0.5), WIDTH=64)
    with pytest.raises(ArgumentError, match="no Triton kernel"):
        atlas.load(f"{file}:nothing")


def test_types_of_a_run_must_be_those_of_the_compilation(file: Path) -> None:
    x, y = np.ones(64, np.float32), np.zeros(64, np.float32)
    kernel = atlas.load(f"{file}:scale")
    program = atlas.Program(kernel, atlas.compile_kernel(kernel, (x, y, 64, 0.5), {"WIDTH": 64}))
    with pytest.raises(ArgumentError, match=r"x is \*fp16"):
        program.run((1,), x.astype(np.float16), y, 64, 0.5)


def test_every_flag_of_a_small_kernel_matters(file: Path) -> None:
    """With a tail, so that the padding that comes before the load is there too."""
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    kernel = atlas.load(f"{file}:scale")
    program = atlas.Program(kernel, atlas.compile_kernel(kernel, (x, y, 50, 0.5), {"WIDTH": 64}))
    flags = [
        mutant
        for mutant in atlas.mutants(program.rewritten)
        if mutant.name.startswith(("no set", "no wait", "no flag"))
    ]
    assert flags and all(program.run((1,), x, y, 50, 0.5, mutant=mutant).hazards for mutant in flags)


def test_the_command(file: Path) -> None:
    command = [sys.executable, "-m", "bert_thor.kernels.atlas", f"{file}:scale", "--shape", "100", "--shape", "100"]
    command += ["--value", "100", "--value", "0.5", "--constant", "WIDTH=64", "--grid", "2", "--report", "--mutate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "hazards 0" in done.stdout and "caught" in done.stdout, done.stderr
    done = subprocess.run([*command, "--target", "Ascend910A"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Ascend910B1" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own.py:scale", "--shape", "4:float99"], "'float99' is not one of float32"),
        (["own.py:scale", "--shape", "4,x"], "is not of the form"),
        (["nothing.py:scale"], "of a file that exists"),
        (["broken.py:scale"], "cannot be imported: ZeroDivisionError"),
        (["own.py:scale", "--shape", "4"], "needs a value for y, n, factor, WIDTH"),
    ],
)
def test_bad_input_gets_a_sentence(file: Path, arguments: list[str], said: str) -> None:
    file.with_name("broken.py").write_text("1 / 0")
    command = [sys.executable, "-m", "bert_thor.kernels.atlas", str(file.with_name(arguments[0])), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2) and said in done.stderr and "Traceback" not in done.stderr
