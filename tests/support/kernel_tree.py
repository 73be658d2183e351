"""A copy of the kernels, built apart, that Python imports instead of the real ones: for mutants and for sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_COMPILED = [f"--ignore-glob={ROOT}/tests/*/test_{name}.py" for name in ("tbe", "akg", "tiling")]


@dataclass(frozen=True)
class KernelTree:
    """`folder` holds the copy; `definitions` go to CMake."""

    folder: Path
    definitions: dict[str, str] = field(default_factory=dict)

    def create(self) -> None:
        """Copy the sources, let `bert_thor.kernels` be the copy, and configure the build."""
        shutil.rmtree(self.folder, ignore_errors=True)
        built = shutil.ignore_patterns("*.so", "__pycache__", "davinci")
        shutil.copytree(ROOT / "kernels", self.folder / "kernels", ignore=built)
        shutil.copytree(ROOT / "cmake", self.folder / "cmake")
        shutil.copy(ROOT / "CMakeLists.txt", self.folder)
        package = self.folder / "python" / "bert_thor"
        package.mkdir(parents=True)
        shutil.copy(ROOT / "bert_thor" / "__init__.py", package)
        (package / "kernels").symlink_to(self.folder / "kernels")
        self._configure()

    def build(self) -> str:
        """The compiler's complaints; empty if the build succeeds."""
        command = ["cmake", "--build", str(self.folder / "build"), "--parallel", "2"]
        done = subprocess.run(command, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def test(self, *arguments: str, timeout: float, prefix: tuple[str, ...] = (), **environment: str) -> str:
        """What pytest says about the kernel tests that `arguments` select; empty if they pass.

        `prefix` goes before the interpreter on the command line.
        """
        options = ["-x", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), *NOT_COMPILED]
        variables = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "python"),
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }
        command = [*prefix, sys.executable, "-m", "pytest", *options, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=variables,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {timeout:.0f} s"
        return "" if done.returncode == 0 else done.stdout + done.stderr or f"exit status {done.returncode}"

    def _configure(self) -> None:
        import pybind11

        options = {
            "CMAKE_LIBRARY_OUTPUT_DIRECTORY": str(self.folder / "kernels"),
            "Python_EXECUTABLE": sys.executable,
            "PYBIND11_FINDPYTHON": "ON",
            "pybind11_DIR": pybind11.get_cmake_dir(),
            **self.definitions,
        }
        definitions = [f"-D{name}={value}" for name, value in options.items()]
        command = ["cmake", "-S", str(self.folder), "-B", str(self.folder / "build"), *definitions]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
