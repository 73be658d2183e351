"""What `bert-thor doctor` looks at.

One block of text to paste into a report. Every problem is followed by what to do about it. MindSpore is looked for but
not imported, so a broken framework does not hide the state of the kernels.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bert_thor import __version__
from bert_thor.doctor.report import Report
from bert_thor.doctor.self_test import Verdict, self_test
from bert_thor.kernels.library import (
    ABI_VERSION,
    InstructionSet,
    instruction_set,
    library_path,
    load_native,
    num_threads,
)

CPU_FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16")
"""What the kernels look for, by the names of /proc/cpuinfo."""
PACKAGES = ("numpy", "safetensors", "tokenizers", "google-crc32c", "tyro", "rich", "decorator")
MINDSPORE_LINES = {"2.10": "CPU", "2.0": "CPU and Ascend 910 (TBE, AKG)", "1.10": "Ascend 910 (TBE, AKG)"}
VARIABLES = (
    "THOR_BACKEND",
    "THOR_MAX_ISA",
    "THOR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MS_CUSTOM_AOT_WHITE_LIST",
    "MS_COMPILER_CACHE_PATH",
)
CANN_FOLDERS = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH")
LOW_DISK, LOW_MEMORY = 5 << 30, 2 << 30
"""Bytes below which a run of the smallest useful size does not fit."""


@dataclass(frozen=True)
class DoctorConfig:
    """Examines this installation: versions, processor, kernels; each problem with what to do about it."""

    run: Path = Path()
    """Folder where runs will be written: its disk is looked at."""


def doctor(folder: Path) -> Report:
    """Examine this installation; `folder` is where runs would be written."""
    report = Report()
    report.line("bert-thor", __version__)
    report.line("python", platform.python_version(), platform.platform())
    _packages(report)
    _mindspore(report)
    _ascend(report)
    _processor(report)
    _resources(report, folder)
    report.line("compiler", _first_line(os.environ.get("CXX", "c++"), "--version"))
    _kernels(report)
    return report


def _packages(report: Report) -> None:
    versions = {name: _version(name) for name in PACKAGES}
    report.line("packages", *(f"{name} {version or 'missing'}" for name, version in versions.items()))
    for name, version in versions.items():
        if version is None:
            report.problem(f"the package {name} is not installed: run `make venv`, or pip install bert-thor")


def _mindspore(report: Report) -> None:
    """Which line of MindSpore is installed and what it serves."""
    version = _version("mindspore") or _version("mindspore-ascend")
    if version is None or importlib.util.find_spec("mindspore") is None:
        report.line("mindspore", "not installed")
        report.problem("MindSpore is not installed: run `make venv`, or pip install mindspore==2.10.0 (NumPy below 2)")
        return
    line = ".".join(version.split(".")[:2])
    report.line("mindspore", version, f"line {line}: {MINDSPORE_LINES.get(line, 'not tested')}")
    if line not in MINDSPORE_LINES:
        report.problem(f"MindSpore {version} is not a tested version: install 2.10.0 (CPU), or 2.0.0 (Python 3.9)")
    numpy = _version("numpy") or "0"
    if not numpy.startswith(("0.", "1.")):
        report.problem(f"NumPy {numpy} does not work with MindSpore {version}: pip install 'numpy<2'")


def _ascend(report: Report) -> None:
    """CANN, the compiler of Ascend kernels; its absence is no problem."""
    found = [f"{name}={os.environ[name]}" for name in CANN_FOLDERS if name in os.environ]
    default = Path("/usr/local/Ascend")
    found += [str(path) for path in sorted(default.glob("*")) if path.is_dir()] if default.is_dir() else []
    devices = len(list(Path("/dev").glob("davinci[0-9]*")))
    report.line("ascend", *(found or ["no CANN"]), f"{devices} devices")
    if devices and not found:
        report.problem("there is an Ascend device but no CANN: install CANN and source its set_env.sh")


def _processor(report: Report) -> None:
    found = _cpu_flags()
    present = [feature for feature in CPU_FEATURES if feature in found]
    report.line(
        "processor", cpu_name(), f"{os.cpu_count()} logical processors", f"{len(os.sched_getaffinity(0))} for us"
    )
    report.line("features", *(present or ["none of those that the kernels look for"]))
    variables = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    report.line("variables", *(variables or ["none set"]))


def available_memory(table: Path) -> int:
    """Bytes that a program can have: what is free, and what Linux keeps of files as long as nobody needs the room."""
    try:
        sizes = dict(line.split(":") for line in table.read_text(encoding="utf-8").splitlines())
        return int(sizes["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _resources(report: Report, folder: Path) -> None:
    memory = available_memory(Path("/proc/meminfo"))
    disk = shutil.disk_usage(folder).free
    report.line("memory", f"{memory / 2**30:.1f} GiB free")
    report.line("disk", f"{disk / 2**30:.1f} GiB free in {folder.resolve()}")
    if disk < LOW_DISK:
        report.problem(
            f"only {disk / 2**30:.1f} GiB of disk are free in {folder.resolve()}: free some or choose another --run"
        )
    if memory < LOW_MEMORY:
        report.problem(f"only {memory / 2**30:.1f} GiB of memory are free: end other programs")
    if not os.access(folder, os.W_OK):
        report.problem(f"{folder.resolve()} cannot be written: change to a folder that can be")


def _kernels(report: Report) -> None:
    """Identity of the library, what it uses of the processor, and the self-test."""
    try:
        path = library_path()
        native = load_native()
    except ImportError as error:
        report.line("kernels", "not usable")
        report.problem(str(error))
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    report.line("kernels", path, f"ABI {native.abi_version()} (needed: {ABI_VERSION})", f"{path.stat().st_size} bytes")
    report.line("kernels SHA-256", digest)
    best, used = InstructionSet(native.isa_supported()), instruction_set()
    report.line("instruction set", f"{used.name.lower()} used", f"{best.name.lower()} is the best of this processor")
    report.line("threads", f"{num_threads()} per kernel")
    report.line("self-test", "largest error of each kernel, as a share of what is allowed")
    _self_test(report)


def _self_test(report: Report) -> None:
    """One line per operation; the figure is the largest error over what is allowed."""
    for operation, verdicts in groupby(self_test(), key=lambda verdict: verdict.operation):
        results = list(verdicts)
        shown = (f"{verdict.instruction_set.name.lower()} {verdict.share:.2g}" for verdict in results)
        word = "ok" if all(verdict.passed for verdict in results) else "WRONG"
        report.lines.append(f"  {operation:28}{word:6}{', '.join(shown)}")
        for verdict in results:
            if not verdict.passed:
                report.problem(_remedy(verdict))


def _remedy(verdict: Verdict) -> str:
    name = verdict.instruction_set.name.lower()
    rebuild = "rebuild the kernels (`make clean venv`) and run this again"
    if verdict.instruction_set == InstructionSet.PORTABLE:
        return f"{verdict.operation} computes wrong results: {rebuild}; if it stays, test the memory of this machine"
    below = InstructionSet(verdict.instruction_set - 1).name.lower()
    return f"{verdict.operation} computes wrong results with {name}: {rebuild}; meanwhile set THOR_MAX_ISA={below}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(*command: str) -> str:
    """First line that a program prints; it is only needed to build, so its absence is no problem."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"{command[0]} is not there (needed to build only)"
    return (done.stdout.splitlines() or [f"{command[0]} says nothing"])[0]


def _cpu_lines(name: str) -> Iterator[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return (line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name)


def _cpu_flags() -> set[str]:
    return set(next(_cpu_lines("flags"), "").split())


def cpu_name() -> str:
    """What the processor calls itself."""
    return next(_cpu_lines("model name"), platform.machine())
