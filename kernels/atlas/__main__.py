"""Compile, run and check a Triton kernel from the shell.

python -m bert_thor.kernels.atlas KERNEL.py:FUNCTION --shape 13,1024:float32 --shape 1024 --value 13 --constant WIDTH=1024 \
    --grid 4 --target Ascend910B1 --report --mutate
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .compile import compile_kernel
from .errors import AtlasError
from .execute import Program
from .load import load
from .mutate import mutants
from .targets import DEFAULT_TARGET

TYPES = ("float32", "float16", "bfloat16", "int32", "int8", "uint8")


def _extents(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 128,64") from None


def _array(text: str) -> tuple[tuple[int, ...], str]:
    """``128,64:float16``; float32 when no type is given."""
    extents, _, dtype = text.partition(":")
    if dtype and dtype not in TYPES:
        raise argparse.ArgumentTypeError(f"{dtype!r} is not one of {', '.join(TYPES)}")
    return _extents(extents), dtype or "float32"


def _number(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _constant(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bert_thor.kernels.atlas",
        description="Compile, run and check a Triton kernel for Atlas A2 and A3.",
    )
    parser.add_argument("kernel", help="KERNEL.py:FUNCTION")
    order = "arrays and values fill the kernel's parameters in the order of the command line"
    parser.add_argument(
        "--shape", action=_Ordered, type=_array, metavar="N,N:DTYPE", help=f"an array of random numbers; {order}"
    )
    parser.add_argument("--input", action=_Ordered, type=Path, metavar="FILE.npy", help="an array")
    parser.add_argument(
        "--value", action=_Ordered, type=_number, metavar="NUMBER", help="an int32 or, with a point, a float32"
    )
    parser.add_argument(
        "--constant", action="append", default=[], type=_constant, metavar="NAME=VALUE", help="a tl.constexpr parameter"
    )
    parser.add_argument("--grid", type=_extents, default=(1,), metavar="N,N,N", help="programs")
    parser.add_argument("--target", default=DEFAULT_TARGET, help="the chip to compile for")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    parser.add_argument("--report", action="store_true", help="print hazards, counts and cycles")
    parser.add_argument(
        "--mutate", action="store_true", help="leave out every flag and barrier once, move every buffer once"
    )
    parser.add_argument("--output", metavar="FILE.npz", help="write all arrays as the kernel left them")
    parser.add_argument("--text", metavar="FILE.mlir", help="write the compiled text")
    return parser


class _Ordered(argparse.Action):
    """Collects several options into one list, in the order in which they were given."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        namespace.arguments = [*getattr(namespace, "arguments", []), values]


def _arguments(given: Sequence[Any], seed: int) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [_argument(value, generator) for value in given]


def _argument(value: Any, generator: np.random.Generator) -> Any:
    if isinstance(value, Path):
        return np.ascontiguousarray(np.load(value))
    if not isinstance(value, tuple):
        return value
    shape, dtype = value
    if not dtype.startswith(("float", "bfloat")):
        return np.asarray(generator.integers(0, 100, shape), dtype)
    numbers = np.asarray(generator.standard_normal(shape), np.float32)
    return (numbers.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else numbers.astype(dtype)


def _show_mutants(program: Program, grid: Sequence[int], arguments: Sequence[Any]) -> None:
    """Mutants whose hazards and results are those of the kernel as it is."""
    right = _fresh(arguments)
    reached = program.run(grid, *right).reached
    tried, silent = [mutant for mutant in mutants(program.rewritten) if mutant.matters(reached)], []
    for mutant in tried:
        arrays = _fresh(arguments)
        hazards = program.run(grid, *arrays, mutant=mutant).hazards
        if not hazards and all(_same(a, b) for a, b in zip(arrays, right)):
            silent.append(mutant.name)
    print(
        f"mutants {len(tried) - len(silent)} of {len(tried)} caught"
        + "".join(f"\n  not caught: {name}" for name in silent)
    )


def _fresh(arguments: Sequence[Any]) -> list[Any]:
    return [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]


def _same(a: Any, b: Any) -> bool:
    return not isinstance(a, np.ndarray) or bool((a.view(np.uint8) == b.view(np.uint8)).all())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the result is the exit status: 1 for an error or a hazard."""
    options = _parser().parse_args(argv)
    try:
        arguments = _arguments(getattr(options, "arguments", []), options.seed)
        kernel = load(options.kernel)
        program = Program(kernel, compile_kernel(kernel, arguments, dict(options.constant), options.target))
        if options.text:
            Path(options.text).write_text(program.compiled.hivm)
        kept = _fresh(arguments)
        result = program.run(options.grid, *arguments)
        print(result.report if options.report else f"{len(result.hazards)} hazards, {result.cycles:,.0f} cycles")
        if options.mutate:
            _show_mutants(program, options.grid, kept)
    except (AtlasError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.output:
        names = kernel.arg_names
        np.savez(options.output, **{n: a for n, a in zip(names, arguments) if isinstance(a, np.ndarray)})
    return int(bool(result.hazards))


if __name__ == "__main__":
    sys.exit(main())
