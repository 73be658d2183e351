"""Kernel files of every import style, the command line, and what is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.__main__ import _description, main

BODY = """
def double(x, y, factor=2.0, kernel_name="double"):
    t = tik.Tik(tik.Dprofile("v100", "cloud"))
    size = x.get("shape")[0]
    a = t.Tensor(x.get("dtype"), (size,), name="a", scope=tik.scope_gm)
    b = t.Tensor(y["dtype"], (size,), name="b", scope=tik.scope_gm)
    ub = t.Tensor("float32", (size,), tik.scope_ubuf, "ub")
    t.data_move(ub, a, 0, 1, size // 8, 0, 0)
    t.vmuls(64, ub, ub, factor, size // 64, 1, 1, 8, 8)
    t.data_move(b, ub, 0, 1, size // 8, 0, 0)
    t.BuildCCE(kernel_name=kernel_name, inputs=[a], outputs=[b])
    return t
"""
STYLES = {
    "te": "from te import tik",
    "te.tik": "import te.tik as tik",
    "tbe": "from tbe import tik",
    "dotted": "import te\nimport te.tik\ntik = te.tik",
    "topi": "from te import tik\nfrom topi.cce import util\nassert util.get_product_version() != util.VERSION_MINI",
    "tbe.tvm.topi": "from te import tik\nfrom tbe.tvm.topi.cce import util\nutil.check_kernel_name('double')",
    "platform": "from te import tik\nfrom te import platform as p\nassert p.get_soc_spec('CORE_NUM') == 32",
    "platform functions": "from tbe import tik\nfrom te.platform.cce_conf import te_set_version, get_soc_spec\n"
    "te_set_version('Ascend910A')\nassert get_soc_spec('UB_SIZE') == 262144",
    "platform names": "from te import tik\nfrom te import platform as p\nimport te.platform as q\n"
    "assert p.cce_conf.get_soc_spec(p.CORE_NUM) == tik.Dprofile().get_aicore_num() == 32\n"
    "assert tik.Dprofile().get_unified_buffer_size() == q.get_soc_spec(q.UB_SIZE)\n"
    "assert p.get_bit_len('float16') == 16 and p.cce_intrin.get_bit_len('float32') == 32\n"
    "assert p.api_check_support('tik.vadd', 'float32') and not p.api_check_support('tik.vrelu', 'float32')\n"
    "assert not p.api_check_support('tik.vcopy') and p.api_check_support('tik.vec_reduce_add')",
    "tbe.common": "from tbe import tik\nfrom tbe.common.platform import set_current_compile_soc_info\n"
    "set_current_compile_soc_info('Ascend910A')",
    "para_check": "from te import tik\nfrom te.utils import para_check\n"
    "@para_check.check_op_params(1, 2)\ndef f(): return 1\nassert f() == 1",
    "decorated": "from te import tik\nfrom topi.cce import util\n"
    "@util.check_input_type(dict, dict, str)\ndef f(): return 1\nassert f() == 1",
    "te.lang.cce": "import te.lang.cce\nfrom te import tvm\nfrom te import tik\nfrom topi import generic",
    "cce_params": "import te.platform.cce_params as cce\nfrom te import tik\nassert cce.BLOCK_IN == 16",
    "mindspore": "from te import tik\nfrom mindspore.ops.op_info_register import op_info_register, TBERegOp, DataType\n"
    "info = TBERegOp('Double').fusion_type('OPAQUE').input(0, 'x', False, 'required', 'all')"
    ".dtype_format(DataType.F32_Default).get_op_info()\n@op_info_register(info)\ndef f(): return 1\nassert f() == 1",
    "any module": "from te import tik\nfrom tbe.common.platform import SHORT_SOC_VERSION, scope_ubuf\nimport te.platform.cce_params as a\n"
    "import tbe\nfrom impl.util.platform_adapter import tbe_platform as b, para_check as c\n"
    "assert a.VECTOR_INST_BLOCK_WIDTH == b.VECTOR_INST_BLOCK_WIDTH == 256 and a.scope_ubuf == scope_ubuf == tik.scope_ubuf\n"
    "assert a.CUBE_MKN['int8']['mac'] == [16, 32, 16] and b.get_soc_spec('ubblock_size') == 32\n"
    "assert b.get_soc_spec(SHORT_SOC_VERSION) == b.ASCEND_910 == tbe.common.platform.ASCEND_910\n"
    "assert b.CceProductParams().getParams('Unified_Buffer') == 262144 and b.get_bit_len('fp32') == 32\n"
    "assert b.intrinsic_check_support('Intrinsic_data_move_l12ub') and not b.api_check_support('tik.data_move_pad')\n"
    "assert b.api_check_support('tik.vconv', 'f322s32r') and not b.intrinsic_check_support('Intrinsic_vconv', 'bf162f32')\n"
    "assert not b.api_check_support('tik.set_atomic_add', 'float16')\n"
    "@c.check_op_params(c.REQUIRED_INPUT, c.KERNEL_NAME)\ndef f(): return 1\nassert f() == 1",
    "classes of tik": "from te import tik\nassert tik.api.tik_scalar.Scalar is tik.Scalar and tik.tik_lib.tik_expr.Expr is tik.Expr\n"
    "assert not isinstance(3, (tik.Scalar, tik.Tensor, tik.ScalarArray))",
    "star": "from te import tik\nfrom te.platform.cce_params import *\nassert BLOCK_IN == 16 and VECTOR_INST_BLOCK_NUM == 8",
    "derived": "from te import tik\nfrom impl.util import Base\nclass Derived(Base):\n"
    "    def __init__(self, n): super().__init__(n, kind=3); self.n = n\nassert Derived(2).n == 2",
    "context": "from te import tik\nfrom tbe.common.context import op_context\n"
    "with op_context.OpContext('static') as c: c.add_compile_info('vars', {})",
    "shapes": "from te import tik\nfrom impl.util.platform_adapter import shape_util as s\n"
    "from te.utils import para_check as c\nassert c.check_shape_size((2, 3), 9) == c.check_tensor_shape_size([2, 3]) == 6\n"
    "assert s.shape_to_list((2, 3)) == [2, 3] and s.axis_check(4, -1) == 3 and s.axis_check(4, (-1, 0)) == [0, 3]",
    "neighbour": "from te import tik\nfrom mindspore.ops._op_impl._custom_op.beside import number\nassert number == 7",
    "impl neighbour": "from te import tik\nfrom impl.beside import number\nassert number == 7",
}  # fmt: skip


def write(folder: Path, head: str) -> str:
    (folder / "beside.py").write_text("number = 7\n")
    path = folder / "kernel.py"
    path.write_text(head + "\n" + BODY)
    return str(path)


@pytest.mark.parametrize("style", STYLES)
def test_import_styles(style: str, tmp_path: Path) -> None:
    before = {name for name in sys.modules if name.split(".")[0] in ("te", "tbe", "topi", "impl", "mindspore")}
    module = davinci.load(write(tmp_path, STYLES[style]))
    x = np.arange(128, dtype=np.float32)
    result = davinci.trace(module.double, x, x, factor=3.0).run(x)
    assert np.array_equal(result.outputs[0], 3 * x)
    after = {name for name in sys.modules if name.split(".")[0] in ("te", "tbe", "topi", "impl", "mindspore")}
    assert after == before
    with pytest.raises(ModuleNotFoundError):
        __import__("tbe")


def package(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


FILES = {
    "__init__.py": "raise AssertionError('the package itself is not run')",
    "kernel.py": "from te import tik\nfrom PACKAGE import common\nfrom PACKAGE.util import adapter\nfrom PACKAGE.ascend import Command\n"
    "from . import common as same\nassert common is same and common.number == adapter.number == Command.number == 7\n"
    + BODY,
    "common.py": "number = 7",
    "util/adapter.py": "from ..common import number",
    "ascend/__init__.py": "from .command import Command",
    "ascend/command.py": "from PACKAGE import common\nclass Command:\n    number = common.number",
    "dynamic/kernel.py": "from te import tik\nfrom PACKAGE.kernel import double as plain\nfrom .beside import other\n"
    + BODY,
    "dynamic/beside.py": "def other():\n    from PACKAGE import common\n    return common.number",
}


@pytest.mark.parametrize(("name", "given"), [("impl", False), ("impl", True), ("mine", True)])
def test_a_kernel_inside_a_package_finds_its_neighbours(name: str, given: bool, tmp_path: Path) -> None:
    folder = package(tmp_path / name, {file: text.replace("PACKAGE", name) for file, text in FILES.items()})
    before = set(sys.modules)
    x = np.arange(128, dtype=np.float32)
    for file, dotted in (("kernel.py", name), ("dynamic/kernel.py", f"{name}.dynamic")):
        module = davinci.load(str(folder / file), package=dotted if given else None)
        assert np.array_equal(davinci.trace(module.double, x, x).run(x).outputs[0], 2 * x)
    assert not {m for m in set(sys.modules) - before if m.split(".")[0] == name}


def test_neighbours_are_found_while_tracing_too(tmp_path: Path) -> None:
    late = BODY.replace("    t = tik", "    from impl.common import number\n    assert number == 7\n    t = tik", 1)
    folder = package(tmp_path / "impl", {"common.py": "number = 7", "kernel.py": "from te import tik\n" + late})
    x = np.ones(128, np.float32)
    assert (davinci.trace(davinci.load(str(folder / "kernel.py")).double, x, x).run(x).outputs[0] == 2).all()


def test_a_neighbour_that_imports_the_kernel_gets_this_one(tmp_path: Path) -> None:
    kernel = "from te import tik\nmarker = object()\nfrom impl import back\nassert back.marker is marker\n" + BODY
    folder = package(tmp_path / "impl", {"kernel.py": kernel, "back.py": "from impl.kernel import marker"})
    assert davinci.load(str(folder / "kernel.py")).double


def test_a_circle_of_neighbours_that_cann_opens(tmp_path: Path) -> None:
    """``one`` needs ``two`` whole, ``two`` needs ``one``: it works when ``two`` is imported first, as CANN's package does."""
    files = {
        "one.py": "from impl import two\nnumber = 7",
        "two.py": "from impl.one import number",
        "kernel.py": "from te import tik\nfrom impl.one import number\n" + BODY,
    }
    assert davinci.load(str(package(tmp_path / "impl", files) / "kernel.py")).number == 7
    files["two.py"] = "from impl.one import missing"
    with pytest.raises(ImportError, match="missing"):
        davinci.load(str(package(tmp_path / "impl", files) / "kernel.py"))


def test_a_package_that_the_path_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(errors.ArgumentError, match=r"does not lie in the folders of package other\.deep"):
        davinci.load(write(tmp_path, STYLES["te"]), package="other.deep")


@pytest.mark.parametrize("line", ["from installed_as.neighbour import number", "import installed_as.neighbour as n"])
@pytest.mark.parametrize("package_name", ["installed_as", None])
def test_a_folder_that_installation_renames(tmp_path: Path, line: str, package_name: str | None) -> None:
    files = {"neighbour.py": "number = 7", "kernel.py": line + "\nfrom te import tik\n" + BODY}
    for folder in ("impl", "kernels"):
        directory = package(tmp_path / folder, files)
        module = davinci.load(str(directory / "kernel.py"), package=package_name)
        assert 7 in (getattr(module, "number", None), getattr(getattr(module, "n", None), "number", None))
        assert davinci.trace(module.double, ((64,), "float32"), ((64,), "float32")).name == "double"


def test_a_package_that_is_nowhere(tmp_path: Path) -> None:
    files = {"kernel.py": "from installed_as.neighbour import number\nfrom te import tik\n" + BODY}
    with pytest.raises(ModuleNotFoundError, match="installed_as"):
        davinci.load(str(package(tmp_path / "impl", files) / "kernel.py"))


def test_a_kernel_that_refuses_its_arguments(tmp_path: Path) -> None:
    refusal = "from te import tik\nfrom te.utils.error_manager import error_manager_vector as e\n" + BODY.replace(
        "    t = tik", "    e.raise_err_input_shape_invalid('double', 'x', 'too long')\n    t = tik", 1
    )
    module = davinci.load(str(package(tmp_path, {"kernel.py": refusal}) / "kernel.py"))
    with pytest.raises(
        errors.ArgumentError, match=r"kernel.py:5: the kernel refuses its arguments .*double, x, too long"
    ):
        davinci.trace(module.double, ((64,), "float32"), ((64,), "float32"))


def test_tensor_expressions_raise_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "from te import tvm, tik\ndef f():\n    with tvm.target.cce(): pass")
    with pytest.raises(errors.UnavailableError, match=r"te.tvm.target.cce.* is TE, not TIK"):
        davinci.trace(davinci.load(path).f)


def test_loading_does_not_need_mindspore(tmp_path: Path) -> None:
    path = write(tmp_path, STYLES["mindspore"])
    code = (
        "import sys; sys.modules['mindspore'] = None\n"
        f"from bert_thor.kernels import davinci; davinci.load({path!r}).double; assert sys.modules['mindspore'] is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_descriptions(tmp_path: Path) -> None:
    module = davinci.load(write(tmp_path, STYLES["te"]))
    x = np.ones(64, np.float32)
    for description in ({"shape": [64], "dtype": "float32"}, ((64,), "float32"), ([64], "float32"), x):
        assert (davinci.trace(module.double, description, description).run(x).outputs[0] == 2).all()
    seen = {}

    def kernel(a: dict, b: object) -> None:  # type: ignore[type-arg]
        seen.update(a)
        assert b is None

    with pytest.raises(errors.StructureError, match="BuildCCE 0 times"):
        davinci.trace(kernel, {"shape": (2, 3), "dtype": "float16", "format": "FRACTAL_Z"}, None)
    assert seen == {
        "shape": (2, 3), "dtype": "float16", "format": "FRACTAL_Z", "ori_shape": (2, 3), "ori_format": "FRACTAL_Z"
    }  # fmt: skip
    with pytest.raises(errors.ArgumentError, match="tensor description"):
        davinci.trace(kernel, (64,), None)
    with pytest.raises(errors.ArgumentError, match="no kernel file"):
        davinci.load(str(tmp_path / "missing.py"))


def test_program_says_what_it_takes(tmp_path: Path) -> None:
    module = davinci.load(write(tmp_path, STYLES["te"]))
    program = davinci.trace(module.double, ((128,), "float32"), ((128,), "float32"))
    assert (program.name, program.block_num) == ("double", 1)
    assert program.inputs == [("a", (128,), "float32")] and program.outputs == [("b", (128,), "float32")]
    assert program.peak_bytes["ubuf"] == 512


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, STYLES["te"])
    shapes = ["--shape", "256:float32", "--shape", "256:float32"]
    assert main([f"{path}:double", *shapes]) == 0
    assert "cycles" in capsys.readouterr().out
    assert main([f"{path}:double", *shapes, "--report", "--sensitivity"]) == 0
    text = capsys.readouterr().out
    assert "pipes busy" in text and "kernel.py" in text and "gm.read_latency" in text
    np.save(tmp_path / "x.npy", np.arange(256, dtype=np.float32))
    files = [
        "--input",
        str(tmp_path / "x.npy"),
        "--output",
        str(tmp_path / "y.npz"),
        "--trace",
        str(tmp_path / "t.json"),
        "--picture",
        str(tmp_path / "t.svg"),
    ]
    assert main([f"{path}:double", *shapes, "--attr", "factor=0.5", "--report", "json", *files]) == 0
    assert json.loads(capsys.readouterr().out)["kernel"] == "double"
    assert np.array_equal(np.load(tmp_path / "y.npz")["b"], np.arange(256) / 2)
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    picture = ElementTree.parse(tmp_path / "t.svg").getroot()
    boxes = [b for b in picture.iter("{http://www.w3.org/2000/svg}rect") if len(b)]
    assert len(boxes) == 3  # load, multiply, store


def test_shapes_on_the_command_line() -> None:
    assert _description("none") is None
    assert _description("8,4") == {"shape": (8, 4), "dtype": "float32", "format": "ND"}
    assert _description("1,2,16,16:float16:FRACTAL_NZ:32,16") == {
        "shape": (1, 2, 16, 16), "dtype": "float16", "format": "FRACTAL_NZ", "ori_shape": (32, 16)
    }  # fmt: skip


def test_command_line_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, STYLES["te"])
    assert main([f"{path}:triple", "--shape", "64:float32"]) == 2
    assert "no function triple" in capsys.readouterr().err
    assert main([f"{path}:double", "--shape", "20000:float32", "--shape", "20000:float32"]) == 1
    assert "LimitError" in capsys.readouterr().err
    assert main([f"{tmp_path}/missing.py:double"]) == 1


def test_the_module_runs_from_the_shell(tmp_path: Path) -> None:
    path = write(tmp_path, STYLES["te"])
    command = [
        sys.executable,
        "-m",
        "bert_thor.kernels.davinci",
        f"{path}:double",
        "--shape",
        "64",
        "--shape",
        "64",
        "--report",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "double on Ascend910A" in done.stdout
