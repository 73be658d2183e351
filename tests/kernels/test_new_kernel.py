"""A kernel is one folder: the template, added as kernels/README.md says, is found by everything that goes over all kernels."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from pathlib import Path

import pytest
from kernel_tree import CMAKE, QUICK, KernelTree

TESTS = Path(__file__).resolve().parents[1]
TEMPLATE = TESTS / "kernels" / "template"
OPERATION = "soft_threshold"
TIMEOUT = 300.0  # seconds

pytestmark = pytest.mark.skipif(
    shutil.which(CMAKE) is None or shutil.which(os.environ.get("CXX", "c++")) is None,
    reason="needs cmake and a compiler",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> KernelTree:
    """A tree that has no operation but the template's: a list of operations anywhere would name one that is not there."""
    tree = KernelTree(tmp_path_factory.mktemp("tree"), QUICK)
    tree.create()
    for reference in tree.folder.glob("kernels/*/reference.py"):
        shutil.rmtree(reference.parent)
        (tree.folder / "ops" / f"{reference.parent.name}.py").unlink()
    shutil.copytree(TEMPLATE, tree.folder, dirs_exist_ok=True)
    (tree.folder / "bench").symlink_to(TESTS.parent / "bench")
    assert tree.build() == ""
    return tree


def test_the_readme_names_its_files() -> None:
    readme = (TESTS.parent / "kernels" / "README.md").read_text()
    steps = readme.partition("## Add a kernel in six steps")[2].partition("\n## ")[0]
    files = [*TEMPLATE.glob("kernels/*/*.*"), *TEMPLATE.glob("ops/*.py")]
    names = [path.name.replace(OPERATION, "<operation>") for path in files]
    assert [name for name in names if f"{name}`" not in steps] == [] and len(names) >= 10


def output_of(tree: KernelTree, *arguments: str) -> str:
    """The last line that Python prints."""
    done = tree.run(sys.executable, *arguments, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    return done.stdout.splitlines()[-1]


def test_its_body_is_compiled_for_every_instruction_set(tree: KernelTree) -> None:
    objects = tree.folder.glob(f"build/CMakeFiles/thor_kernels.dir/kernels/{OPERATION}/*.o")
    expected = {"portable", "avx2", "avx512", "avx512_bf16"} if platform.machine() == "x86_64" else {"portable"}
    assert {path.name.split(".")[0] for path in objects} == {*expected, OPERATION}


def test_the_c_abi_has_it(tree: KernelTree) -> None:
    counts = json.loads(output_of(tree, str(TESTS / "reliability" / "native_arguments.py")))
    assert set(counts) == {f"thor_{OPERATION}_f32", f"thor_{OPERATION}"}


def test_python_has_it(tree: KernelTree) -> None:
    """Binding and native.py, on every instruction set and alignment, against its reference."""
    assert tree.test(str(TESTS / "kernels" / "test_cases.py"), timeout=TIMEOUT) == ""


def test_it_runs_between_guard_pages(tree: KernelTree) -> None:
    assert json.loads(output_of(tree, str(TESTS / "reliability" / "guard_pages.py")))["calls"] >= 10


def test_mindspore_has_it(tree: KernelTree) -> None:
    assert tree.test(str(TESTS / "ops" / "test_cases.py"), timeout=TIMEOUT) == ""


def test_the_self_test_has_it(tree: KernelTree) -> None:
    program = (
        "from bert_thor.doctor.self_test import self_test; print([*{(v.operation, v.passed) for v in self_test()}])"
    )
    assert output_of(tree, "-c", program) == f"[('{OPERATION}', True)]"


def test_a_choice_of_backend_may_name_it(tree: KernelTree) -> None:
    program = f"from bert_thor.ops import _backend as b; print(b.choose('{OPERATION}', b.BACKENDS))"
    done = tree.run(sys.executable, "-c", program, timeout=TIMEOUT, THOR_BACKEND=f"{OPERATION}=mindspore")
    assert done.stdout.splitlines()[-1:] == ["mindspore"], done.stderr


def test_the_benchmark_has_it(tree: KernelTree) -> None:
    program = (
        "from bench.kernels.contenders import cases\n"
        "print([(case.operation, list(case.contenders), case.contenders['ours']().size) for case in cases(1, '')])"
    )
    assert output_of(tree, "-c", program) == str([(OPERATION, ["ours"], size) for size in (3072 * 768, 4096 * 1024)])
