"""A Triton kernel through Huawei's compiler: Triton -> TTIR -> linalg -> HIVM, by two wheels, with no CANN and no device.

`triton.compile` stops where CANN is missing, so its stages are called one by one. The last program ends by saying that it
finds no `hivmc` (CANN's, which turns HIVM into a binary); the HIVM text has been written by then.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from . import wheels
from .errors import ArgumentError, CompileError
from .targets import DEFAULT_TARGET, target

OPTIONS = (  # what triton-ascend passes for A2 and A3, in its order
    "--enable-auto-multi-buffer=True",
    "--enable-auto-bind-sub-block=True",
    "--enable-hfusion-compile=true",
    "--enable-hivm-compile=true",
    "--enable-triton-kernel-compile=true",
)
DEBUG_OPTIONS = ("--enable-debug-info", "--mlir-print-debuginfo")  # the text with the lines of the kernel's file
POINTERS = {"float32": "*fp32", "float16": "*fp16", "uint16": "*bf16", "int32": "*i32", "int8": "*i8", "uint8": "*u8"}
NOISE = ("hivmc", "Failed to run BiSheng", "loc(")  # lines of the compiler that say nothing about the kernel

Argument = Union[np.ndarray, int, float]


@dataclass(frozen=True)
class Compiled:
    """A kernel in the compiler's last form.

    Attributes:
        name: of the kernel's function.
        file: the kernel's file, whose lines the text names.
        target: the chip.
        signature: Triton's type of every argument.
        hivm: the text.
    """

    name: str
    file: str
    target: str
    signature: dict[str, str]
    hivm: str


def signature_of(kernel: Any, arguments: Sequence[Argument]) -> dict[str, str]:
    """Triton's types of the leading parameters: pointers for arrays (uint16 holds bfloat16), i32 and fp32 for numbers."""
    names = list(kernel.arg_names)
    if len(arguments) > len(names):
        raise ArgumentError(f"{kernel.fn.__name__} has {len(names)} parameters, {len(arguments)} arguments were given")
    return {name: _type_of(name, argument) for name, argument in zip(names, arguments)}


def _type_of(name: str, argument: Argument) -> str:
    if isinstance(argument, np.ndarray):
        kind = POINTERS.get(argument.dtype.name)
        if kind is None:
            raise ArgumentError(f"{name}: arrays of {argument.dtype.name} are not taken, only {', '.join(POINTERS)}")
        return kind
    return "fp32" if isinstance(argument, float) else "i32"


def compile_kernel(
    kernel: Any, arguments: Sequence[Argument], constants: Mapping[str, Any], chip: str = DEFAULT_TARGET
) -> Compiled:
    """All stages. `arguments` give the types of the parameters, `constants` the values of the tl.constexpr ones.

    Raises `ArgumentError` for a parameter without a value and `CompileError` where the compiler refuses the kernel.
    """
    wheels.require()
    target(chip)
    signature = signature_of(kernel, arguments)
    lacking = [name for name in kernel.arg_names if name not in signature and name not in constants]
    if lacking:
        raise ArgumentError(f"{kernel.fn.__name__} needs a value for {', '.join(lacking)}")
    linalg = _to_linalg(kernel, signature, dict(constants), chip)
    return Compiled(kernel.fn.__name__, kernel.fn.__code__.co_filename, chip, signature, _to_hivm(linalg, chip))


def _to_linalg(kernel: Any, signature: dict[str, str], constants: dict[str, Any], chip: str) -> str:
    """The wheel's Python front end, then its triton-adapter-opt."""
    from triton._C.libtriton import ir
    from triton.backends.ascend import compiler as ascend
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    device = GPUTarget("npu", chip, 0)
    backend = ascend.AscendBackend(device)
    options = backend.parse_options({})
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    metadata = {"target": device, "hash": "none", **vars(options)}
    try:
        source = ASTSource(fn=kernel, signature=signature, constants=constants)
        module = source.make_ir(options, backend.get_codegen_implementation(), backend.get_module_map(), context)
        with _line_information():
            text = ascend.ttir_to_linalg(ascend.make_ttir(module, metadata, options), metadata, options, named_ops=True)
    except subprocess.CalledProcessError as error:
        raise CompileError(f"{kernel.fn.__name__}: {_complaint(error.stderr.decode())}") from error
    except Exception as error:  # Triton's own errors have no common base; they name the kernel's line
        raise CompileError(f"{kernel.fn.__name__}: {error}") from error
    return str(ascend._parse_linalg_metadata(text, metadata)[0])


@contextmanager
def _line_information() -> Iterator[None]:
    """Lets triton-ascend keep the lines of the source, which it drops by default."""
    before = os.environ.get("TRITON_DISABLE_LINE_INFO")
    os.environ["TRITON_DISABLE_LINE_INFO"] = "false"
    try:
        yield
    finally:
        del os.environ["TRITON_DISABLE_LINE_INFO"]
        if before is not None:
            os.environ["TRITON_DISABLE_LINE_INFO"] = before


def _to_hivm(linalg: str, chip: str) -> str:
    program = wheels.compiler_folder() / "bin" / "bishengir-compile"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.mlir"
        source.write_text(linalg)
        command = [str(program), str(source), f"--target={chip}", *OPTIONS, *DEBUG_OPTIONS]
        command += [f"--save-temps={folder}/temps", "-o", f"{folder}/kernel"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        result = Path(folder) / "temps" / "module.hivm.opt.mlir"
        if not result.exists():
            raise CompileError(f"the compiler refuses the kernel for {chip}: {_complaint(done.stdout + done.stderr)}")
        return result.read_text()


def _complaint(text: str) -> str:
    """What the compiler said about the kernel, in one line."""
    errors = re.findall(r"error: ([^\n]*)", text)
    useful = [line for line in errors if not line.startswith("Failed to run")]
    lines = [line for line in text.splitlines() if line.strip() and not any(word in line for word in NOISE)]
    return (useful or errors or lines or ["it ended without a word"])[0][:400]
