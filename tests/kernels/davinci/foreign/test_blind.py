"""The rule of the blind sample: which public kernels count, and an order that nobody chose."""

from __future__ import annotations

from pathlib import Path

from foreign_blind import reason, sample

KERNEL = "from te import tik\n\ndef {name}(x):\n    t = tik.Tik()\n    {line}\n"


def test_which_kernels_count() -> None:
    def why(line: str, path: str = "a/impl/kernel.py", name: str = "kernel") -> str:
        return reason(path, KERNEL.format(name=name, line=line))

    assert why("t.vadd(1)") == ""
    assert why("t.vadd(1)", name="helper") == "no operator of its own"
    assert why("t.data_move(ub, tiling_gm, 0, 1, 1, 0, 0)") == why("", "a/dynamic/kernel.py") == "for any shape"
    assert why("t.vreduce(1)") == why('t = tik.Tik(tik.Dprofile("v200", "aic"))') == "for a later generation"


def test_the_order_is_that_of_the_hashes(tmp_path: Path) -> None:
    for folder, name in (("one/impl", "a"), ("one/impl", "b"), ("two", "c"), ("two", "text")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        text = "import tik" if name == "text" else KERNEL.format(name=name, line="pass")
        (tmp_path / folder / f"{name}.py").write_text(text)
    found = sample([("owner/one", tmp_path / "one"), ("owner/two", tmp_path / "two")])
    assert found == [("owner/one/impl/b.py", ""), ("owner/one/impl/a.py", ""), ("owner/two/c.py", "")]
