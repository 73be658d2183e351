"""The problems of bench/ascend.py: every kernel for Ascend 910 at the shapes of BERT-Large, and MindSpore's own kernels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_thor.kernels import davinci

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
OPERATIONS = ("layer_norm", "residual_dropout_layer_norm", "fisher_covariance", "precondition", "cholesky_inverse")
ROWS, EDGE, CORES = 6144, 128, 32
LARGE_BLOCKS = 3456  # of BERT-Large: 24 layers of 6 matrices, both factors
F16, F32 = "float16", "float32"
CHECKS = ("uninitialised", "poison", "bounds")  # which MindSpore's kernels do not pass


@dataclass(frozen=True)
class Case:
    """One run: the program and its inputs, and the work that the problem itself is: bytes read, bytes read or written, FLOP."""

    operation: str
    shape: str
    program: Callable[[], davinci.Program]
    inputs: Callable[[], list[np.ndarray]]
    reads: float = 0.0
    bytes: float = 0.0
    flop: float = 0.0
    ignore: tuple[str, ...] = ()


# The problems -------------------------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    """Ours, then MindSpore's."""
    yield from layer_norms()
    yield from residual_layer_norms()
    for features in (1024, 4096):
        for layout in ("ND", "FRACTAL_NZ"):
            yield covariance(features, layout)
    for outputs, inputs in ((1024, 1024), (4096, 1024), (1024, 4096), (2048, 1024)):
        yield preconditioning(outputs, inputs)
    yield from inverses()
    yield from foreign()


def kernel(operation: str, function: str) -> Any:
    return getattr(davinci.load(str(KERNELS / operation / "tbe.py")), function)


def normal(seed: int, *shape: int, dtype: str = F32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def layer_norms() -> Iterator[Case]:
    width = 1024
    vector, values = ((width,), F32), ((ROWS,), F32)
    for dtype in (F16, F32):
        x = ((ROWS, width), dtype)
        size = ROWS * width * np.dtype(dtype).itemsize
        ends = (vector, vector, x, values, values)

        def forward(x: Any = x, ends: Any = ends) -> davinci.Program:
            return davinci.trace(kernel("layer_norm", "layer_norm"), x, *ends, eps=1e-12)

        def backward(x: Any = x) -> davinci.Program:
            tensors = (x, x, vector, values, values, x, vector, vector)
            return davinci.trace(kernel("layer_norm", "layer_norm_grad"), *tensors)

        def given(dtype: str = dtype) -> list[np.ndarray]:
            return [normal(0, ROWS, width, dtype=dtype), normal(1, width), normal(2, width)]

        def given_back(dtype: str = dtype) -> list[np.ndarray]:
            matrices = [normal(k, ROWS, width, dtype=dtype) for k in (0, 1)]
            return [*matrices, normal(1, width), np.zeros(ROWS, F32), np.ones(ROWS, F32)]

        yield Case("layer_norm", f"{ROWS}x{width} {dtype}", forward, given, size, 2.0 * size)
        yield Case("layer_norm_grad", f"{ROWS}x{width} {dtype}", backward, given_back, 2.0 * size, 3.0 * size)


def residual_layer_norms() -> Iterator[Case]:
    width, folder = 1024, "residual_dropout_layer_norm"
    vector, values, bits = ((width,), F32), ((ROWS,), F32), ((ROWS * width // 8,), "uint8")
    for dtype in (F16, F32):
        for dropout in (True, False):
            x, mask = ((ROWS, width), dtype), [bits] if dropout else []
            size = ROWS * width * (np.dtype(dtype).itemsize * 4 + (1 / 8 if dropout else 0))
            name = folder if dropout else "residual_layer_norm"
            probability = {"probability": 0.1} if dropout else {}
            before = [x, vector, x, vector, vector, *mask, x, x, values, values]
            gradients = [x, vector, x, vector, vector] if dropout else [x, vector, vector, vector]
            after = [x, x, vector, values, values, *mask, *gradients]
            back_size = size if dropout else size * 3 / 4

            def forward(name: str = name, tensors: Any = before, more: Any = probability) -> davinci.Program:
                return davinci.trace(kernel(folder, name), *tensors, eps=1e-12, **more)

            def backward(name: str = name, tensors: Any = after, more: Any = probability) -> davinci.Program:
                return davinci.trace(kernel(folder, f"{name}_grad"), *tensors, **more)

            def masks(dropout: bool = dropout) -> list[np.ndarray]:
                return (
                    [np.random.default_rng(3).integers(0, 256, ROWS * width // 8).astype(np.uint8)] if dropout else []
                )

            def given(dtype: str = dtype, masks: Any = masks) -> list[np.ndarray]:
                x, v = normal(0, ROWS, width, dtype=dtype), normal(1, width)
                return [x, v, x, v, v, *masks()]

            def given_back(dtype: str = dtype, masks: Any = masks) -> list[np.ndarray]:
                x = normal(0, ROWS, width, dtype=dtype)
                return [x, x, normal(1, width), np.zeros(ROWS, F32), np.ones(ROWS, F32), *masks()]

            yield Case(name, f"{ROWS}x{width} {dtype}", forward, given, size / 2, size)
            yield Case(f"{name}_grad", f"{ROWS}x{width} {dtype}", backward, given_back, size / 2, back_size)


def covariance(features: int, layout: str) -> Case:
    blocks = features // EDGE
    fractals = (features // 16, ROWS // 16, 16, 16)
    whole = {"shape": (ROWS, features), "dtype": F16}
    if layout == "FRACTAL_NZ":
        whole = {"shape": fractals, "dtype": F16, "format": layout, "ori_shape": (ROWS, features), "ori_format": "ND"}

    def program() -> davinci.Program:
        return davinci.trace(
            kernel("fisher_covariance", "fisher_covariance"), whole, ((blocks, EDGE, EDGE), F32), block=EDGE
        )

    def given() -> list[np.ndarray]:
        return [normal(0, *whole["shape"], dtype=F16)]

    reads, writes = 2.0 * ROWS * features, 4.0 * blocks * EDGE**2
    flop = float(ROWS * features * EDGE)  # half of the products, since the result is symmetric
    return Case("fisher_covariance", f"{ROWS}x{features} {layout}", program, given, reads, reads + writes, flop)


def preconditioning(outputs: int, inputs: int) -> Case:
    shapes = [(outputs // EDGE, EDGE, EDGE), (outputs, inputs), (inputs // EDGE, EDGE, EDGE)]

    def program() -> davinci.Program:
        tensors = [(shape, F32) for shape in shapes]
        return davinci.trace(kernel("precondition", "precondition"), *tensors, tensors[1])

    sizes = [float(np.prod(shape)) for shape in shapes]
    reads, flop = 4 * sum(sizes), 4.0 * outputs * inputs * EDGE
    given = lambda: [normal(k, *shape) for k, shape in enumerate(shapes)]  # noqa: E731
    return Case("precondition", f"{outputs}x{inputs}", program, given, reads, reads + 4 * sizes[1], flop)


def inverses() -> Iterator[Case]:
    for name, counts in (("cholesky_inverse", (128, LARGE_BLOCKS)), ("cholesky_inverse_vector", (128, LARGE_BLOCKS))):
        for count in counts:
            square, vector = ((count, EDGE, EDGE), F32), ((count,), F32)

            def program(name: str = name, square: Any = square, vector: Any = vector) -> davinci.Program:
                tensors = (square, vector, square, ((vector[0][0], 8), "int32"))
                return davinci.trace(kernel("cholesky_inverse", name), *tensors)

            def given(count: int = count) -> list[np.ndarray]:
                samples = normal(0, 8, 4 * EDGE, EDGE)
                covariances = samples.transpose(0, 2, 1) @ samples / (4 * EDGE)
                return [np.tile(covariances, (count // 8, 1, 1)), np.full(count, 0.01, F32)]

            yield Case(name, f"{count} blocks of {EDGE}", program, given, 4.0 * count * EDGE**2, 8.0 * count * EDGE**2)


# MindSpore's own ----------------------------------------------------------------------------------------------------------


def foreign() -> Iterator[Case]:
    """MindSpore's kernels where they take a shape, if MindSpore is installed."""
    spec = importlib.util.find_spec("mindspore")
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0]) / "ops" / "_op_impl" / "_custom_op"

    def load(file: str, function: str) -> Any:
        return getattr(davinci.load(str(folder / f"{file}_impl.py")), function)

    def trsm() -> davinci.Program:
        return davinci.trace(load("cholesky_trsm", "cus_cholesky_trsm"), ((EDGE, EDGE), F32), ((1, EDGE, EDGE), F32))

    def products() -> davinci.Program:
        many = ((CORES, EDGE, EDGE), F32)
        return davinci.trace(load("batch_matmul", "cus_batch_matmul"), many, many, many)

    m, n = 2048, 1024
    left, right = ((m // 16, m // 16, 16, 16), F16), ((n // 16, n // 16, 16, 16), F16)

    def from_left() -> davinci.Program:
        a, b = (
            {"shape": left[0], "dtype": F16, "ori_shape": (m, m)},
            {"shape": (n // 16, m // 16, 16, 16), "dtype": F32},
        )
        y = {"shape": (n // 16, m // 16, 16, 16), "dtype": F16}
        return davinci.trace(
            load("matmul_cube_fracz_left_cast", "cus_matmul_cube_fraczleftcast"), a, {**b, "ori_shape": (m, n)}, None, y
        )

    def from_right() -> davinci.Program:
        a = ((n // 16, m // 16, 16, 16), F16)
        function = load("matmul_cube_fracz_right_mul", "cus_matmul_cube_fraczrightmul")
        return davinci.trace(function, a, right, ((1,), F32), (a[0], F32))

    one = np.ones(1, F32)
    pair = lambda: [normal(k, CORES, EDGE, EDGE) for k in (0, 1)]  # noqa: E731
    yield Case("mindspore cholesky_trsm", f"1 block of {EDGE}", trsm, lambda: [np.eye(EDGE, dtype=F32)], ignore=CHECKS)
    yield Case("mindspore batch_matmul", f"{CORES} blocks of {EDGE}", products, pair, ignore=CHECKS)
    given = lambda: [normal(0, *left[0], dtype=F16), normal(1, n // 16, m // 16, 16, 16)]  # noqa: E731
    yield Case("mindspore matmul_cube_fracz_left_cast", f"{m}x{n}", from_left, given, ignore=CHECKS)
    given = lambda: [normal(0, n // 16, m // 16, 16, 16, dtype=F16), normal(1, *right[0], dtype=F16), one]  # noqa: E731
    yield Case("mindspore matmul_cube_fracz_right_mul", f"{m}x{n}", from_right, given, ignore=CHECKS)
