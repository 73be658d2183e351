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
