"""What a training step costs, part by part, against processes, threads, depth and width; small networks on the CPU.

    python -m bench.steps scaling                measures, writes bench/results/scaling.json and draws scaling.png beside it
    python -m bench.steps scaling --seconds 80   measures what is missing in scaling.json, and starts no point after 80 s
    python -m bench.steps scaling --draw         draws the stored results again

Processes share one global batch and the machine's cores; each measures itself, rank 0 reports. A step that refreshes costs all parts, a
cached one neither covariances nor refresh. The exchange is that of the gradients, measured alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Optional

from bench.environment import elsewhere

RESULTS = Path(__file__).resolve().parents[1] / "results" / "scaling.json"
REPEATS = 15
PARTS = ("forward, backward", "covariances", "exchange", "refresh", "update")


@dataclass(frozen=True)
class Point:
    """One measurement; the defaults are the middle of every axis."""

    axis: str
    processes: int = 1
    threads: int = 1
    layers: int = 2
    hidden: int = 128
    sequences: int = 8
    length: int = 64


POINTS = (
    *(Point("processes", processes=n) for n in (1, 2, 4)),
    *(Point("threads", threads=n) for n in (1, 2)),
    *(Point("depth", layers=n) for n in (1, 2, 4)),
    *(Point("width", hidden=n) for n in (64, 128, 256)),
)


def median_seconds(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Medians of REPEATS rounds of all calls after one that compiles: what the machine does besides falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(REPEATS + 1):
        for name, call in calls.items():
            started = perf_counter()
            call()
            if round_number > 0:
                times[name].append(perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(point: Point) -> dict[str, float]:
    """Seconds of every part, in this process."""
    import numpy as np
    from mindspore import Tensor

    from bert_thor.collectives import SumOverRanks
    from bert_thor.compat import use_graph_mode
    from bert_thor.config import BertConfig
    from bert_thor.distributed import join_world
    from bert_thor.model import BertForPreTraining, dropout_seed
    from bert_thor.optimizer.config import OptimizerConfig
    from bert_thor.optimizer.step import Optimizer

    use_graph_mode("CPU")
    world = join_world()
    sizes = BertConfig(
        vocab_size=4096, hidden_size=point.hidden, num_layers=point.layers, num_heads=point.hidden // 32,
        intermediate_size=4 * point.hidden, max_position=point.length, hidden_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    model = BertForPreTraining(sizes, 128, 0, world.ranks)
    optimizer = Optimizer(model, OptimizerConfig(), world)
    random = np.random.default_rng(world.rank)
    own = point.sequences // world.ranks
    ids = random.integers(0, 4096, (own, point.length)).astype(np.int32)
    positions = np.sort(random.integers(0, point.length, (own, 10)).astype(np.int32), 1)
    rows = (
        ids,
        np.ones_like(ids),
        np.zeros_like(ids),
        positions,
        positions,
        np.ones((own, 10), np.float32),
        np.zeros(own, np.int32),
    )
    inputs = (*(Tensor(array) for array in rows), dropout_seed(0, 0))
    sequences = own, point.sequences

    def ready(outputs: Any) -> Any:
        outputs[1].asnumpy()
        return outputs

    _, norm, gradients, factors = ready(optimizer.gradients_and_factors(*inputs))
    curvatures = optimizer.curvatures
    assert curvatures is not None, "THOR has factors"
    calls: dict[str, Callable[[], object]] = {
        "cached": lambda: ready(optimizer.gradients(*inputs)),
        "captured": lambda: ready(optimizer.gradients_and_factors(*inputs)),
        "refresh": lambda: curvatures.refresh(factors, sequences, 0.1),
        "update": lambda: optimizer._update(gradients, float(norm.asnumpy()), 1, 1.0, (0.1, point.sequences)),
    }
    if world.ranks > 1:
        alone = SumOverRanks([gradient.shape for gradient in gradients])
        calls["exchange"] = lambda: alone(*gradients)[0].asnumpy()
    medians = {"exchange": 0.0, **median_seconds(calls)}
    cached, exchange = medians["cached"], medians["exchange"]
    seconds = (cached - exchange, medians["captured"] - cached, exchange, medians["refresh"], medians["update"])
    return {**dict(zip(PARTS, seconds)), "rank": world.rank}


def measure_elsewhere(point: Point) -> dict[str, float]:
    """`measure` in processes of its own."""
    threads, programs = str(point.threads), Path(sys.executable).parent
    variables = {"OMP_NUM_THREADS": threads, "THOR_NUM_THREADS": threads, "GLOG_v": "3"}
    variables["PATH"] = f"{programs}:{os.environ['PATH']}"  # msrun starts what it finds as `python`
    environment = elsewhere(variables)
    worker = ["python", "-m", "bench.steps", "scaling", "--point", json.dumps(asdict(point))]
    with tempfile.TemporaryDirectory() as folder:
        if point.processes == 1:
            output = subprocess.run(
                worker, env=environment, cwd=folder, check=True, capture_output=True, text=True
            ).stdout
        else:
            counts = [f"--worker_num={point.processes}", f"--local_worker_num={point.processes}"]
            launcher = [
                str(programs / "msrun"),
                *counts,
                "--master_port=18451",
                "--join=True",
                "--log_dir=logs",
            ]
            subprocess.run([*launcher, *worker], env=environment, cwd=folder, check=True, capture_output=True)
            output = "".join(path.read_text() for path in sorted(Path(folder, "logs").glob("worker_*.log")))
    reports = [json.loads(line) for line in output.splitlines() if line.startswith('{"forward')]
    return next(report for report in reports if report.pop("rank") == 0)


def measure_missing(seconds: Optional[float]) -> None:
    """Measure the points that scaling.json lacks, or all without a limit of seconds; the file holds every finished point."""
    document: dict[str, Any] = {"cores": os.cpu_count(), "repeats": REPEATS, "results": []}
    if seconds is not None and RESULTS.is_file():
        document = json.loads(RESULTS.read_text())
    RESULTS.parent.mkdir(exist_ok=True)
    known = [result["point"] for result in document["results"]]
    started = perf_counter()
    for point in (point for point in POINTS if asdict(point) not in known):
        if seconds is not None and perf_counter() - started > seconds:
            print("more points are missing: run it again")
            return
        parts = measure_elsewhere(point)
        document["results"].append({"point": asdict(point), "load": os.getloadavg()[0], "seconds": parts})
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")
        print(point, {part: f"{1e3 * value:.1f} ms" for part, value in parts.items()}, flush=True)


def main(arguments: Sequence[str]) -> None:
    """Measure and draw; with --point measure one point in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.steps scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--point", help=argparse.SUPPRESS)
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw the stored results again")
    parser.add_argument("--seconds", type=float, help="measure only what is missing, and start nothing after so long")
    options = parser.parse_args(arguments)
    if options.point:
        print(json.dumps(measure(Point(**json.loads(options.point)))), flush=True)
        return
    if not options.draw:
        measure_missing(options.seconds)
    from bench.steps.plot import plot

    plot(json.loads(RESULTS.read_text())["results"], PARTS, RESULTS.with_suffix(".png"))
