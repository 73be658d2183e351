"""Run a kernel from the shell.

python -m bert_thor.kernels.davinci KERNEL.py:FUNCTION --shape 256,128:float32 --shape 2,128,128:float32 --report
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .api import CHECKS, Program, Result, trace
from .errors import DavinciError
from .machine import DEFAULT_CHIP
from .trace.load import load


def _extents(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


def _description(text: str) -> Any:
    """``128,64:float16``, with ``:FORMAT`` and ``:ORIGINAL,SHAPE`` when given; ``none`` is an absent optional input."""
    if text.lower() == "none":
        return None
    shape, dtype, layout, original = (*text.split(":"), "", "", "")[:4]
    described: dict[str, Any] = {"shape": _extents(shape), "dtype": dtype or "float32", "format": layout or "ND"}
    if original:
        described["ori_shape"] = _extents(original)
    return described


def _attribute(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bert_thor.kernels.davinci", description="Run, check and time a TIK kernel."
    )
    parser.add_argument("kernel", help="KERNEL.py:FUNCTION")
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=_description,
        metavar="N,N:DTYPE[:FORMAT[:ORIGINAL]]",
        help="one per tensor parameter of the kernel, inputs and outputs, in order; 'none' for an absent one",
    )
    parser.add_argument(
        "--attr", action="append", default=[], type=_attribute, metavar="NAME=VALUE", help="an attribute of the kernel"
    )
    parser.add_argument(
        "--input", action="append", default=[], metavar="FILE.npy", help="inputs in order; default: random numbers"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random inputs")
    parser.add_argument("--chip", default=DEFAULT_CHIP)
    parser.add_argument("--ignore", action="append", default=[], choices=CHECKS, help="a check to skip")
    parser.add_argument("--report", nargs="?", const="text", choices=("text", "json"), help="print the timing report")
    parser.add_argument(
        "--sensitivity", action="store_true", help="print the cycles at both ends of every uncertain constant"
    )
    parser.add_argument(
        "--trace", metavar="FILE.json", help="write the slowest core's timeline for Perfetto or chrome://tracing"
    )
    parser.add_argument("--picture", metavar="FILE.svg", help="draw the slowest core's timeline")
    parser.add_argument("--output", metavar="FILE.npz", help="write the outputs")
    return parser


def _inputs(program: Program, files: Sequence[str], seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    arrays = [np.load(file) for file in files]
    for _, shape, dtype in program.inputs[len(files) :]:
        if np.dtype(dtype).kind == "f":
            arrays.append(generator.standard_normal(shape).astype(dtype))
        else:
            arrays.append(generator.integers(0, 100, shape).astype(dtype))
    return arrays


def _show(result: Result, program: Program, arguments: argparse.Namespace) -> None:
    if arguments.report == "text":
        print(result.report)
    elif arguments.report == "json":
        print(result.report.to_json())
    else:
        for (name, shape, dtype), array in zip(program.outputs, result.outputs):
            print(f"{name} {dtype} {shape}: min {array.min():.6g}, max {array.max():.6g}")
        print(f"{result.cycles} cycles")
    if arguments.sensitivity:
        for name, (low, high) in sorted(result.sensitivity().items()):
            print(f"{name:24} {low:10d} {high:10d} cycles")
    if arguments.trace:
        result.report.save_trace(arguments.trace)
    if arguments.picture:
        result.report.save_picture(arguments.picture)
    if arguments.output:
        np.savez(arguments.output, **dict(zip((n for n, _, _ in program.outputs), result.outputs)))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the result is the exit status."""
    arguments = _parser().parse_args(argv)
    path, _, function = arguments.kernel.rpartition(":")
    attributes: dict[str, Any] = dict(arguments.attr)
    try:
        kernel = getattr(load(path), function, None)
        if kernel is None:
            print(f"{path} has no function {function}", file=sys.stderr)
            return 2
        program = trace(kernel, *arguments.shape, **attributes)
        result = program.run(
            *_inputs(program, arguments.input, arguments.seed), chip=arguments.chip, ignore=arguments.ignore
        )
        _show(result, program, arguments)
    except DavinciError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
