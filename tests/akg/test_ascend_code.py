"""The AKG kernels lowered to Ascend 910's CCE: the emitted code keeps the hardware's rules and computes the reference."""

from __future__ import annotations

import re
from pathlib import Path

import ascend_code
import numpy as np
import pytest
from akg_cases import Case, covariance_case, layer_norm_cases
from comparison import UNIT, assert_within

from bert_thor.kernels.cholesky_inverse import akg as cholesky_inverse_akg
from bert_thor.kernels.cholesky_inverse.reference import cholesky_inverse

pytestmark = pytest.mark.akg

# rows: one group of 8, one per core, one tile of several groups; features: one block of 32 bytes, BERT-Base, BERT-Large
LAYER_NORM = [(8, 16), (24, 112), (256, 768), (768, 64), (1536, 1024)]
COVARIANCE = [(16, 32, 32), (100, 64, 64), (33, 100, 48), (3000, 200, 112), (2049, 128, 128), (6144, 256, 128)]
CASES = [
    *(case for shape in LAYER_NORM for dtype in ("float16", "float32") for case in layer_norm_cases(*shape, dtype)),
    *(covariance_case(*sizes) for sizes in COVARIANCE),
]


def name(case: Case) -> str:
    first = next(iter(case.inputs.values()))
    return f"{case.function}-{'x'.join(map(str, first.shape))}-{first.dtype}"


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    if not (ascend_code.AKG_FOLDER / "complete").is_file():
        pytest.fail("AKG's compiler for Ascend is not there: run `make test-akg`, which fetches it")


@pytest.mark.parametrize("case", CASES, ids=name)
def test_custom_operators(case: Case, tmp_path: Path) -> None:
    inputs = {key: (array.shape, str(array.dtype)) for key, array in case.inputs.items()}
    described = ascend_code.describe_custom(case.file, case.function, inputs, case.outputs, case.dim)
    code = ascend_code.lower(described, tmp_path)
    assert code.cores >= case.cores
    case.check(*ascend_code.run(code, list(case.inputs.values()), case.empty_outputs(), tmp_path))


def inverses(c: np.ndarray, damping: np.ndarray, folder: Path) -> list[np.ndarray]:
    """(inverse, pivots) of the emitted code."""
    shapes = {"c": (c.shape, "float32"), "damping": (damping.shape, "float32")}
    made = {"inverse": (c.shape, "float32"), "pivots": (c.shape[:2], "float32")}
    file = str(cholesky_inverse_akg.__file__)
    code = ascend_code.lower(ascend_code.describe_operator(file, "cholesky_inverse", shapes, made), folder)
    assert code.cores == min(32, len(c))
    empty = [np.full(shape, np.nan, np.float32) for shape, _ in made.values()]
    return ascend_code.run(code, [c, damping], empty, folder)


def blocks(count: int, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Positive definite blocks with NaN below the diagonal, which must not be read."""
    generator = np.random.default_rng(count * 1000 + edge)
    x = generator.standard_normal((count, edge, 2 * edge))
    c = (x @ x.transpose(0, 2, 1) / (2 * edge)).astype(np.float32)
    below = np.tril(np.ones((edge, edge), bool), -1)
    return np.where(below, np.float32(np.nan), c), generator.uniform(0.01, 1, count).astype(np.float32)


@pytest.mark.parametrize(("count", "edge"), [(8, 8), (8, 64), (40, 72), (16, 120), (32, 128)])
def test_cholesky_inverse(count: int, edge: int, tmp_path: Path) -> None:
    c, damping = blocks(count, edge)
    exact, _ = cholesky_inverse(c, damping)
    inverse, pivots = inverses(c, damping, tmp_path)
    assert (inverse == inverse.transpose(0, 2, 1)).all()
    assert ((pivots > 0) & np.isfinite(pivots)).all()
    norm = np.linalg.norm(exact.astype(np.float64), 2, axis=(1, 2))
    condition = norm * np.linalg.norm(np.linalg.inv(exact.astype(np.float64)), 2, axis=(1, 2))
    assert_within(inverse, exact, (4 * edge * UNIT * condition * norm)[:, None, None])


def test_pivots_tell_a_bad_block(tmp_path: Path) -> None:
    c, damping = blocks(8, 16)
    c[2, 6, 6], c[4, 3, 9], c[5] = -1, np.nan, 0
    damping[5] = 0
    inverse, pivots = inverses(c, damping, tmp_path)
    bad = ~((pivots > 0) & np.isfinite(pivots))
    assert bad.any(axis=1).tolist() == [False, False, True, False, True, True, False, False]
    assert [int(bad[k].argmax()) + 1 for k in (2, 5)] == [7, 1]  # the status of the reference
    good = ~bad.any(axis=1)
    assert np.isfinite(inverse[good]).all()


class TestTheMachine:
    """cce_machine.h refuses what it says it refuses, shown on the code of one kernel with one planted mistake each."""

    @pytest.fixture(scope="class")
    def kernel(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ascend_code.Code]:
        case = layer_norm_cases(256, 64, "float32")[0]
        inputs = {key: (array.shape, str(array.dtype)) for key, array in case.inputs.items()}
        described = ascend_code.describe_custom(case.file, case.function, inputs, case.outputs, case.dim)
        return case, ascend_code.lower(described, tmp_path_factory.mktemp("kernel"))

    @pytest.mark.parametrize(
        ("pattern", "replacement", "rule"),
        [
            (r"(x \+ .*block_idx\)) \* 512", r"\1 * 520", "past the end"),
            (r"(shifted \+ .*block_idx\)) \* 512", r"\1 * 504", "two cores write"),
            (r"(x_local_UB = .*\*)\)\(\d+", r"\1)(262144", "outside the buffer"),
            (r"(x_local_UB = .*\*)\)\(\d+", r"\1)(20", "unaligned"),
            (r"(vsqrt\(.*UB \+ )0", r"\g<1>1", "not aligned"),
            (r"(vmul\(.*), 8, 8, 8\);", r"\1, 8, 8, 256);", "field cannot hold"),
            (r"wait_flag\(PIPE_MTE2, PIPE_V, EVENT_ID0\);", "", "no flag orders it"),
            (r"set_flag\(PIPE_V, PIPE_MTE3, EVENT_ID0\);", "", "a flag that was not set"),
            (r"\n  pipe_barrier\(PIPE_ALL\);", r"\n  set_flag(PIPE_V, PIPE_S, EVENT_ID3);", "never waited for"),
            (r"vsqrt\(", "vrsqrt(", "does not have"),
            (r"vmul\(\(\(__ubuf__ float", "vmul(((__ubuf__ half", "does not have"),
        ],
    )
    def test_refuses(
        self, kernel: tuple[Case, ascend_code.Code], pattern: str, replacement: str, rule: str, tmp_path: Path
    ) -> None:
        case, code = kernel
        wrong, changed = re.subn(pattern, replacement, code.source, count=1)
        assert changed == 1
        with pytest.raises(ascend_code.BadCodeError, match=rule):
            inputs = list(case.inputs.values())
            ascend_code.run(ascend_code.Code(wrong, code.cores), inputs, case.empty_outputs(), tmp_path)
