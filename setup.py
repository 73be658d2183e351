"""Builds the kernels: CMake compiles them, setuptools puts them beside the Python files. Needs no MindSpore and no NumPy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
LIBRARY = "libthor_kernels.so"


class CMakeBuild(build_ext):
    """`python setup.py build_ext [--inplace]`: libthor_kernels.so and the `_native` module over it."""

    def build_extension(self, ext: Extension) -> None:
        """Configure and build with CMake, into the folder that setuptools expects the module in."""
        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
        build.mkdir(parents=True, exist_ok=True)
        cmake = _required_program("cmake", "pip install cmake")
        _required_program(os.environ.get("CXX", "c++"), "apt-get install g++, or set CXX")
        configure = [cmake, "-S", str(ROOT), "-B", str(build), f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target}"]
        configure += [f"-DPython_EXECUTABLE={sys.executable}", "-DPYBIND11_FINDPYTHON=ON"]
        configure += [f"-Dpybind11_DIR={_pybind11_directory()}"]
        _run(configure)
        _run([cmake, "--build", str(build), "--parallel", str(self.parallel or _jobs())])

    def copy_extensions_to_source(self) -> None:
        """In-place and editable builds: setuptools copies the module it knows of, the shared library goes along."""
        super().copy_extensions_to_source()
        built = Path(self.build_lib, "bert_thor", "kernels", LIBRARY)
        _replace(built, ROOT / "kernels" / LIBRARY)


def _run(command: list[str]) -> None:
    """Run quietly; on failure show everything that the compiler said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nerror: compiling the kernels failed: {' '.join(command)}")


def _replace(source: Path, target: Path) -> None:
    """Copy by rename, so that a process that has the old library mapped keeps it intact."""
    temporary = target.with_suffix(".new")
    shutil.copy2(source, temporary)
    os.replace(temporary, target)


def _required_program(name: str, remedy: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SystemExit(
            f"error: the program '{name}' is needed to compile the kernels and is not on PATH; install it ({remedy})."
        )
    return path


def _pybind11_directory() -> str:
    try:
        import pybind11
    except ImportError:
        raise SystemExit(
            "error: pybind11 is needed to compile the kernels and is not installed; run: pip install pybind11"
        ) from None
    return str(pybind11.get_cmake_dir())


def _jobs() -> int:
    """One compiler per core, but no more than fit in memory at 0.5 GiB each."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, pages // (1 << 29)))


def _packages() -> dict[str, str]:
    """Import name -> folder of every package: `kernels` and `ops` live at the top level but belong to `bert_thor`."""
    found = {}
    for folder, name in (("bert_thor", "bert_thor"), ("kernels", "bert_thor.kernels"), ("ops", "bert_thor.ops")):
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            parts = init.parent.relative_to(ROOT / folder).parts
            found[".".join((name, *parts))] = str(Path(folder, *parts))
    return found


setup(
    packages=list(_packages()),
    package_dir=_packages(),
    package_data={"": ["*.h", "*.json", "*.md", "*.txt", "*.so", "py.typed", "machine/*.cc", "machine/*.h"]},
    ext_modules=[Extension("bert_thor.kernels._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
