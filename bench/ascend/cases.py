"""The problems of the simulator: every kernel for Ascend 910 at the shapes of BERT-Large, and MindSpore's own kernels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Case
from bert_thor import kernels
from bert_thor.kernels import davinci

KERNELS = Path(str(kernels.__file__)).resolve().parent
ROWS, WIDTH, EDGE, CORES = 6144, 1024, 128, 32
LARGE_BLOCKS = 3456  # of BERT-Large: 24 layers of 6 matrices, both factors
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
    """Ours, then MindSpore's."""
    for dtype in (F16, F32):
        yield from layer_norms(dtype)
    for dtype in (F16, F32):
        yield from residual_dropout_layer_norms(dtype)
        yield from residual_layer_norms(dtype)
    for features in (1024, 4096):
        for layout in ("ND", "FRACTAL_NZ"):
            yield covariance(features, layout)
    for outputs, inputs in ((1024, 1024), (4096, 1024), (1024, 4096), (2048, 1024)):
        yield preconditioning(outputs, inputs)
    for name in ("cholesky_inverse", "cholesky_inverse_vector"):
        for count in (128, LARGE_BLOCKS):
            yield inverses(name, count)
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


VECTOR, VALUES, BITS = ((WIDTH,), F32), ((ROWS,), F32), ((ROWS * WIDTH // 8,), "uint8")


def statistics() -> list[np.ndarray]:
    """A mean and a reciprocal deviation per row."""
    return [np.zeros(ROWS, F32), np.ones(ROWS, F32)]


def layer_norms(dtype: str) -> Iterator[Case]:
    x, size = ((ROWS, WIDTH), dtype), float(ROWS * WIDTH * np.dtype(dtype).itemsize)
    shape, folder = f"{ROWS}x{WIDTH} {dtype}", "layer_norm"

    def given() -> list[np.ndarray]:
        return [normal(0, ROWS, WIDTH, dtype=dtype), normal(1, WIDTH), normal(2, WIDTH)]

    def given_back() -> list[np.ndarray]:
        return [*(normal(k, ROWS, WIDTH, dtype=dtype) for k in (0, 1)), normal(1, WIDTH), *statistics()]

    program = ours(folder, "layer_norm", x, VECTOR, VECTOR, x, VALUES, VALUES, eps=1e-12)
    yield case("layer_norm", shape, program, given, size, 2 * size)
    program = ours(folder, "layer_norm_grad", x, x, VECTOR, VALUES, VALUES, x, VECTOR, VECTOR)
    yield case("layer_norm_grad", shape, program, given_back, 2 * size, 3 * size)


def residual_dropout_layer_norms(dtype: str) -> Iterator[Case]:
    x, size = ((ROWS, WIDTH), dtype), float(ROWS * WIDTH * np.dtype(dtype).itemsize)
    shape, name, mask = f"{ROWS}x{WIDTH} {dtype}", "residual_dropout_layer_norm", ROWS * WIDTH / 8

    def bits() -> np.ndarray:
        return np.random.default_rng(3).integers(0, 256, ROWS * WIDTH // 8).astype(np.uint8)

    def given() -> list[np.ndarray]:
        return [*residual_inputs(dtype), bits()]

    def given_back() -> list[np.ndarray]:
        return [*residual_gradient_inputs(dtype), bits()]

    before, after = (x, VECTOR, x, VECTOR, VECTOR, BITS), (x, x, VALUES, VALUES)
    program = ours(name, name, *before, *after, eps=1e-12, probability=0.1)
    yield case(name, shape, program, given, 2 * size + mask, 4 * size + mask)
    before, gradients = (x, x, VECTOR, VALUES, VALUES, BITS), (x, VECTOR, x, VECTOR, VECTOR)
    program = ours(name, f"{name}_grad", *before, *gradients, probability=0.1)
    yield case(f"{name}_grad", shape, program, given_back, 2 * size + mask, 4 * size + mask)


def residual_layer_norms(dtype: str) -> Iterator[Case]:
    x, size = ((ROWS, WIDTH), dtype), float(ROWS * WIDTH * np.dtype(dtype).itemsize)
    shape, name, folder = f"{ROWS}x{WIDTH} {dtype}", "residual_layer_norm", "residual_dropout_layer_norm"
    program = ours(folder, name, x, VECTOR, x, VECTOR, VECTOR, x, x, VALUES, VALUES, eps=1e-12)
    yield case(name, shape, program, partial(residual_inputs, dtype), 2 * size, 4 * size)
    program = ours(folder, f"{name}_grad", x, x, VECTOR, VALUES, VALUES, x, VECTOR, VECTOR, VECTOR)
    yield case(f"{name}_grad", shape, program, partial(residual_gradient_inputs, dtype), 2 * size, 3 * size)


def residual_inputs(dtype: str) -> list[np.ndarray]:
    """x, bias, residual, gamma, beta."""
    x, vector = normal(0, ROWS, WIDTH, dtype=dtype), normal(1, WIDTH)
    return [x, vector, x, vector, vector]


def residual_gradient_inputs(dtype: str) -> list[np.ndarray]:
    """dy, sum, gamma, mean, rstd."""
    x = normal(0, ROWS, WIDTH, dtype=dtype)
    return [x, x, normal(1, WIDTH), *statistics()]


def covariance(features: int, layout: str) -> Case:
    blocks = features // EDGE
    fractals = (features // 16, ROWS // 16, 16, 16)
    whole = {"shape": (ROWS, features), "dtype": F16}
    if layout == "FRACTAL_NZ":
        whole = {"shape": fractals, "dtype": F16, "format": layout, "ori_shape": (ROWS, features), "ori_format": "ND"}

    packed = ((blocks, EDGE, EDGE), F32)
    program = ours("fisher_covariance", "fisher_covariance", whole, packed, block=EDGE)

    def given() -> list[np.ndarray]:
        return [normal(0, *whole["shape"], dtype=F16)]

    reads, writes = 2.0 * ROWS * features, 4.0 * blocks * EDGE**2
    flop = float(ROWS * features * EDGE)  # half of the products, since the result is symmetric
    return case("fisher_covariance", f"{ROWS}x{features} {layout}", program, given, reads, reads + writes, flop)


def preconditioning(outputs: int, inputs: int) -> Case:
    shapes = [(outputs // EDGE, EDGE, EDGE), (outputs, inputs), (inputs // EDGE, EDGE, EDGE)]
    tensors, sizes = [(shape, F32) for shape in shapes], [4.0 * np.prod(shape) for shape in shapes]
    program = ours("precondition", "precondition", *tensors, tensors[1])

    def given() -> list[np.ndarray]:
        return [normal(k, *shape) for k, shape in enumerate(shapes)]

    flop = 4.0 * outputs * inputs * EDGE
    return case("precondition", f"{outputs}x{inputs}", program, given, sum(sizes), sum(sizes) + sizes[1], flop)


def inverses(name: str, count: int) -> Case:
    square, bytes_ = ((count, EDGE, EDGE), F32), 4.0 * count * EDGE**2
    program = ours("cholesky_inverse", name, square, ((count,), F32), square, ((count, 8), "int32"))

    def given() -> list[np.ndarray]:
        samples = normal(0, 8, 4 * EDGE, EDGE)
        covariances = samples.transpose(0, 2, 1) @ samples / (4 * EDGE)
        return [np.tile(covariances, (count // 8, 1, 1)), np.full(count, 0.01, F32)]

    return case(name, f"{count} blocks of {EDGE}", program, given, bytes_, 2 * bytes_)


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
