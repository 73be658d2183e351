"""A copy of kernels and operators, built apart, that Python imports instead of the real ones: for mutants, sanitizers, new kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CMAKE = shutil.which("cmake", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "cmake"
QUICK = {"CMAKE_BUILD_TYPE": "Quick", "CMAKE_CXX_FLAGS_QUICK": "-O1 -DNDEBUG"}  # compiles in half the time of -O3
NOT_COMPILED = [f"--ignore-glob={ROOT}/tests/*/test_{name}.py" for name in ("tbe", "akg", "tiling")]


@dataclass(frozen=True)
class KernelTree:
    """`folder` holds the copy; `definitions` go to CMake."""

    folder: Path
    definitions: dict[str, str] = field(default_factory=dict)

    def create(self) -> None:
        """Copy the sources, let `bert_thor.kernels` and `bert_thor.ops` be the copies, and configure the build."""
        shutil.rmtree(self.folder, ignore_errors=True)
        built = shutil.ignore_patterns("*.so", "__pycache__", "davinci")
        shutil.copytree(ROOT / "kernels", self.folder / "kernels", ignore=built)
        for name in ("ops", "cmake"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=built)
        shutil.copy(ROOT / "CMakeLists.txt", self.folder)
        package = self.folder / "python" / "bert_thor"
        package.mkdir(parents=True)
        for entry in (*ROOT.glob("bert_thor/*"), self.folder / "kernels", self.folder / "ops"):
            (package / entry.name).symlink_to(entry)
        self._configure()

    def build(self) -> str:
        """The compiler's complaints; empty if the build succeeds."""
        command = [CMAKE, "--build", str(self.folder / "build"), "--parallel", "2"]
        done = subprocess.run(command, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def test(self, *arguments: str, timeout: float, prefix: tuple[str, ...] = (), **environment: str) -> str:
        """What pytest says about the kernel tests that `arguments` select; empty if they pass.

        `prefix` goes before the interpreter on the command line.
        """
        options = ["-x", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), *NOT_COMPILED]
        command = [*prefix, sys.executable, "-m", "pytest", *options, *arguments]
        try:
            done = self.run(*command, timeout=timeout, **environment)
        except subprocess.TimeoutExpired:
            return f"no end within {timeout:.0f} s"
        return "" if done.returncode == 0 else done.stdout + done.stderr or f"exit status {done.returncode}"

    def run(self, *command: str, timeout: float, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command whose Python imports the copies."""
        variables = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "python"),
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, errors="replace", timeout=timeout
        )

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
        command = [CMAKE, "-S", str(self.folder), "-B", str(self.folder / "build"), *definitions]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
