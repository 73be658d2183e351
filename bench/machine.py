"""What the machine can do at most, measured: multiply-adds per second and bytes copied per second."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import time
from functools import cache
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, Callable

import numpy as np

from bert_thor.kernels.library import InstructionSet, load_native

ROOT = Path(__file__).resolve().parents[1]
_INSTRUCTIONS = 24  # per iteration of a probe
_FLOP = {"peak_avx2": 16, "peak_avx512": 32, "peak_avx512_bf16": 64}  # per instruction
_COPY_AT_ONCE = 64 << 20  # bytes that a sample of the copy moves at least
_ITERATIONS = 200_000  # about 0.6 ms: shorter than a time slice


@cache
def _library() -> ctypes.CDLL:
    build = ROOT / "build" / "bench"
    subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(build), "-DTHOR_BENCH=ON"], check=True, stdout=subprocess.DEVNULL
    )
    command = ["cmake", "--build", str(build), "--target", "thor_peaks"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return ctypes.CDLL(str(build / "libthor_peaks.so"))


def _probe_name(dtype: str) -> str:
    best = InstructionSet(load_native().isa_supported())
    if best < InstructionSet.AVX2:
        raise SystemExit("error: there is no probe of the peak for a processor without AVX2; the benchmarks need one.")
    if best == InstructionSet.AVX2:
        return "peak_avx2"
    return "peak_avx512_bf16" if dtype == "bf16" and best == InstructionSet.AVX512_BF16 else "peak_avx512"


def probe(dtype: str, threads: int) -> float:
    """FLOP/s of all `threads` together in one short burst: CPU time for one thread, wall time for more."""
    name = _probe_name(dtype)
    function = getattr(_library(), name)
    iterations = ctypes.c_int64(_ITERATIONS if threads == 1 else 5 * _ITERATIONS)
    seconds = _together(lambda: function(iterations), threads)
    return threads * iterations.value * _INSTRUCTIONS * _FLOP[name] / seconds


def peak(dtype: str, threads: int) -> float:
    """FLOP/s at the 95th percentile of many bursts: the best ones only show how coarse the clock is."""
    return float(np.quantile([probe(dtype, threads) for _ in range(400 if threads == 1 else 40)], 0.95))


def copy_bandwidth(threads: int, size: int) -> float:
    """Bytes read and written per second by `threads` threads copying `size` bytes each: the median of seven."""
    pairs = [(np.ones(size // 4, np.float32), np.zeros(size // 4, np.float32)) for _ in range(threads)]
    repeats = max(1, _COPY_AT_ONCE // size)
    queue = iter(pairs * 8)

    def copy() -> None:
        source, target = next(queue)
        for _ in range(repeats):
            np.copyto(target, source)

    seconds = [_together(copy, threads) for _ in range(8)]
    return threads * 2 * size * repeats / float(np.median(seconds[1:]))


def _together(call: Callable[[], Any], threads: int) -> float:
    """Seconds that `threads` calls at the same time take, each on a processor of its own: started together, they may share one."""
    if threads == 1:
        start = time.process_time()
        call()
        return time.process_time() - start
    barrier, processors = Barrier(threads + 1), sorted(os.sched_getaffinity(0))

    def wait_and_call(k: int) -> None:
        os.sched_setaffinity(0, {processors[k % len(processors)]})  # of this thread alone
        barrier.wait()
        call()

    workers = [Thread(target=wait_and_call, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def describe() -> dict[str, str]:
    """Processor, instruction set and library versions."""
    processor = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in processor if line.startswith("model name")), "unknown")
    versions = {"numpy": np.__version__, "python": platform.python_version()}
    for name in ("scipy", "torch", "mindspore"):
        try:
            versions[name] = str(__import__(name).__version__)
        except ImportError:
            versions[name] = "not installed"
    return {"processor": model, "instruction_set": InstructionSet(load_native().isa()).name.lower(), **versions}
