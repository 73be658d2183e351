"""The problems of the simulator: every kernel for Ascend 910 at the shapes of BERT-Large, and MindSpore's own kernels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Case
from bert_thor import kernels
from bert_thor.kernels import davinci
from bert_thor.kernels.cholesky_inverse import cases as cholesky_inverse
from bert_thor.kernels.fisher_covariance import cases as fisher_covariance
from bert_thor.kernels.layer_norm import cases as layer_norm
from bert_thor.kernels.precondition import cases as precondition
from bert_thor.kernels.residual_dropout_layer_norm import cases as residual_dropout_layer_norm

KERNELS = Path(str(kernels.__file__)).resolve().parent
EDGE, CORES = 128, 32
F16, F32 = "float16", "float32"
CHECKS = ("uninitialised", "poison", "bounds")  # which MindSpore's kernels do not pass


Program = Callable[[], davinci.Program]
Inputs = Callable[[], list[np.ndarray]]


def case(
    operation: str,
    shape: str,
    program: Program,
    inputs: Inputs,
    reads: float = 0.0,
    moves: float = 0.0,
    flop: float = 0.0,
    ignore: tuple[str, ...] = (),
) -> Case:
    """One run of a program, and the work that the problem itself is: bytes read, bytes read or written, FLOP."""

    def run() -> davinci.Result:
        return program().run(*inputs(), ignore=ignore)

    return Case(operation, shape, {"read rate": reads, "bandwidth": moves, "cube": flop}, {"simulated": run})


# The problems -------------------------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    """Ours, at the large sizes of their cases.py, then MindSpore's."""
    for dtype in (F16, F32):
        for sizes in layer_norm.ASCEND_LARGE:
            yield from layer_norms(*sizes, dtype)
    for dtype in (F16, F32):
        for sizes in residual_dropout_layer_norm.ASCEND_LARGE:
            yield from residual_dropout_layer_norms(*sizes, dtype)
            yield from residual_layer_norms(*sizes, dtype)
    for rows, features, block in fisher_covariance.ASCEND_LARGE:
        for layout in ("ND", "FRACTAL_NZ"):
            yield covariance(rows, features, block, layout)
    for outputs, inputs, bg, ba in precondition.ASCEND_LARGE:
        yield preconditioning(outputs, inputs, bg, ba)
    for name in ("cholesky_inverse", "cholesky_inverse_vector"):
        for count, edge in cholesky_inverse.ASCEND_LARGE:
            yield inverses(name, count, edge)
    yield from foreign()


def traced(file: Path, function: str, *tensors: Any, **attributes: Any) -> Program:
    """What traces a kernel over tensors of these descriptions."""

    def program() -> davinci.Program:
        return davinci.trace(getattr(davinci.load(str(file)), function), *tensors, **attributes)

    return program


def ours(folder: str, function: str, *tensors: Any, **attributes: Any) -> Program:
    """`traced` for kernels/`folder`/tbe.py."""
    return traced(KERNELS / folder / "tbe.py", function, *tensors, **attributes)


def normal(seed: int, *shape: int, dtype: str = F32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def statistics(rows: int) -> list[np.ndarray]:
    """A mean and a reciprocal deviation per row."""
    return [np.zeros(rows, F32), np.ones(rows, F32)]


def size_of(rows: int, width: int, dtype: str) -> float:
    """Bytes."""
    return float(rows * width * np.dtype(dtype).itemsize)


def layer_norms(rows: int, width: int, dtype: str) -> Iterator[Case]:
    x, vector, values, size = ((rows, width), dtype), ((width,), F32), ((rows,), F32), size_of(rows, width, dtype)
    shape, folder = f"{rows}x{width} {dtype}", "layer_norm"

    def given() -> list[np.ndarray]:
        return [normal(0, rows, width, dtype=dtype), normal(1, width), normal(2, width)]

    def given_back() -> list[np.ndarray]:
        return [*(normal(k, rows, width, dtype=dtype) for k in (0, 1)), normal(1, width), *statistics(rows)]

    program = ours(folder, "layer_norm", x, vector, vector, x, values, values, eps=1e-12)
    yield case("layer_norm", shape, program, given, size, 2 * size)
    program = ours(folder, "layer_norm_grad", x, x, vector, values, values, x, vector, vector)
    yield case("layer_norm_grad", shape, program, given_back, 2 * size, 3 * size)


def residual_dropout_layer_norms(rows: int, width: int, dtype: str) -> Iterator[Case]:
    x, vector, values, size = ((rows, width), dtype), ((width,), F32), ((rows,), F32), size_of(rows, width, dtype)
    shape, name, mask = f"{rows}x{width} {dtype}", "residual_dropout_layer_norm", rows * width / 8
    packed = ((rows * width // 8,), "uint8")

    def bits() -> np.ndarray:
        return np.random.default_rng(3).integers(0, 256, rows * width // 8).astype(np.uint8)

    def given() -> list[np.ndarray]:
        return [*residual_inputs(rows, width, dtype), bits()]

    def given_back() -> list[np.ndarray]:
        return [*residual_gradient_inputs(rows, width, dtype), bits()]

    before, after = (x, vector, x, vector, vector, packed), (x, x, values, values)
    program = ours(name, name, *before, *after, eps=1e-12, probability=0.1)
    yield case(name, shape, program, given, 2 * size + mask, 4 * size + mask)
    saved, gradients = (x, x, vector, values, values, packed), (x, vector, x, vector, vector)
    program = ours(name, f"{name}_grad", *saved, *gradients, probability=0.1)
    yield case(f"{name}_grad", shape, program, given_back, 2 * size + mask, 4 * size + mask)


def residual_layer_norms(rows: int, width: int, dtype: str) -> Iterator[Case]:
    x, vector, values, size = ((rows, width), dtype), ((width,), F32), ((rows,), F32), size_of(rows, width, dtype)
    shape, name, folder = f"{rows}x{width} {dtype}", "residual_layer_norm", "residual_dropout_layer_norm"
    program = ours(folder, name, x, vector, x, vector, vector, x, x, values, values, eps=1e-12)
    yield case(name, shape, program, partial(residual_inputs, rows, width, dtype), 2 * size, 4 * size)
    program = ours(folder, f"{name}_grad", x, x, vector, values, values, x, vector, vector, vector)
    given_back = partial(residual_gradient_inputs, rows, width, dtype)
    yield case(f"{name}_grad", shape, program, given_back, 2 * size, 3 * size)


def residual_inputs(rows: int, width: int, dtype: str) -> list[np.ndarray]:
    """x, bias, residual, gamma, beta."""
    x, vector = normal(0, rows, width, dtype=dtype), normal(1, width)
    return [x, vector, x, vector, vector]


def residual_gradient_inputs(rows: int, width: int, dtype: str) -> list[np.ndarray]:
    """dy, sum, gamma, mean, rstd."""
    x = normal(0, rows, width, dtype=dtype)
    return [x, x, normal(1, width), *statistics(rows)]


def covariance(rows: int, features: int, block: int, layout: str) -> Case:
    blocks = features // block
    shape: tuple[int, ...] = (rows, features)
    whole: dict[str, Any] = {"shape": shape, "dtype": F16}
    if layout == "FRACTAL_NZ":
        shape = (features // 16, rows // 16, 16, 16)
        whole = {"shape": shape, "dtype": F16, "format": layout, "ori_shape": (rows, features), "ori_format": "ND"}

    program = ours("fisher_covariance", "fisher_covariance", whole, ((blocks, block, block), F32), block=block)

    def given() -> list[np.ndarray]:
        return [normal(0, *shape, dtype=F16)]

    reads, writes = 2.0 * rows * features, 4.0 * blocks * block**2
    flop = float(rows * features * block)  # half of the products, since the result is symmetric
    return case("fisher_covariance", f"{rows}x{features} {layout}", program, given, reads, reads + writes, flop)


def preconditioning(outputs: int, inputs: int, bg: int, ba: int) -> Case:
    shapes = [(outputs // bg, bg, bg), (outputs, inputs), (inputs // ba, ba, ba)]
    tensors, sizes = [(shape, F32) for shape in shapes], [4.0 * prod(shape) for shape in shapes]
    program = ours("precondition", "precondition", *tensors, tensors[1])

    def given() -> list[np.ndarray]:
        return [normal(k, *shape) for k, shape in enumerate(shapes)]

    flop = 2.0 * outputs * inputs * (bg + ba)
    return case("precondition", f"{outputs}x{inputs}", program, given, sum(sizes), sum(sizes) + sizes[1], flop)


def inverses(name: str, count: int, edge: int) -> Case:
    square, bytes_ = ((count, edge, edge), F32), 4.0 * count * edge**2
    program = ours("cholesky_inverse", name, square, ((count,), F32), square, ((count, 8), "int32"))

    def given() -> list[np.ndarray]:
        samples = normal(0, 8, 4 * edge, edge)
        covariances = samples.transpose(0, 2, 1) @ samples / (4 * edge)
        return [np.tile(covariances, (count // 8, 1, 1)), np.full(count, 0.01, F32)]

    return case(name, f"{count} blocks of {edge}", program, given, bytes_, 2 * bytes_)


# MindSpore's own ----------------------------------------------------------------------------------------------------------


def foreign() -> Iterator[Case]:
    """MindSpore's kernels where they take a shape, if MindSpore is installed."""
    spec = importlib.util.find_spec("mindspore")
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0]) / "ops" / "_op_impl" / "_custom_op"

    square, many = ((1, EDGE, EDGE), F32), ((CORES, EDGE, EDGE), F32)
    program = traced(folder / "cholesky_trsm_impl.py", "cus_cholesky_trsm", ((EDGE, EDGE), F32), square)
    eye = np.eye(EDGE, dtype=F32)
    yield case("mindspore cholesky_trsm", f"1 block of {EDGE}", program, lambda: [eye], ignore=CHECKS)
    program = traced(folder / "batch_matmul_impl.py", "cus_batch_matmul", many, many, many)

    def pair() -> list[np.ndarray]:
        return [normal(k, CORES, EDGE, EDGE) for k in (0, 1)]

    yield case("mindspore batch_matmul", f"{CORES} blocks of {EDGE}", program, pair, ignore=CHECKS)
    yield from foreign_products(folder)


def foreign_products(folder: Path) -> Iterator[Case]:
    """The two products of a preconditioning, G^-1 dW and that times A^-1, with dense factors in fractals of fp16."""
    m, n = 2048, 1024
    left, middle, right = ((m // 16, m // 16, 16, 16), (n // 16, m // 16, 16, 16), (n // 16, n // 16, 16, 16))
    shape, name = f"{m}x{n}", "matmul_cube_fracz_left_cast"
    a, b = {"shape": left, "dtype": F16, "ori_shape": (m, m)}, {"shape": middle, "dtype": F32, "ori_shape": (m, n)}
    program = traced(folder / f"{name}_impl.py", "cus_matmul_cube_fraczleftcast", a, b, None, (middle, F16))
    yield case(
        f"mindspore {name}", shape, program, lambda: [normal(0, *left, dtype=F16), normal(1, *middle)], ignore=CHECKS
    )
    name, one = "matmul_cube_fracz_right_mul", np.ones(1, F32)
    function, tensors = "cus_matmul_cube_fraczrightmul", ((middle, F16), (right, F16), ((1,), F32), (middle, F32))
    program = traced(folder / f"{name}_impl.py", function, *tensors)

    def given() -> list[np.ndarray]:
        return [normal(0, *middle, dtype=F16), normal(1, *right, dtype=F16), one]

    yield case(f"mindspore {name}", shape, program, given, ignore=CHECKS)
