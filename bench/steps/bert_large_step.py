"""One real optimizer step of BERT-Large with THOR on the CPU: batch 1, 128 tokens, float32, with a refresh. Prints JSON.

python -m bench.steps bert-large
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from bert_thor.data.records.schema import Batch

LENGTH, PREDICTIONS = 128, 20


def batch(vocab_size: int) -> Batch:
    """One sequence of random tokens."""
    random = np.random.default_rng(0)
    ids = random.integers(0, vocab_size, (1, LENGTH)).astype(np.int32)
    positions = np.sort(random.permutation(LENGTH)[:PREDICTIONS])[None].astype(np.int32)
    labels = np.take_along_axis(ids, positions, 1)
    segments = (np.arange(LENGTH) >= LENGTH // 2).astype(np.int32)[None]
    return Batch(
        ids,
        np.ones_like(ids),
        segments,
        positions,
        labels,
        np.ones((1, PREDICTIONS), np.float32),
        np.zeros(1, np.int32),
    )


def main(arguments: Sequence[str]) -> None:
    """Build, run one step, and report."""
    from bert_thor.compat import use_graph_mode
    from bert_thor.network.model import BertForPreTraining, PretrainingLoss
    from bert_thor.optimizer import Thor
    from bert_thor.recipes import recipe
    from bert_thor.training.inputs import groups_of, inputs_and_labels

    argparse.ArgumentParser(prog="python -m bench.steps bert-large", description=__doc__).parse_args(arguments)
    config = recipe("bert-large")
    use_graph_mode("CPU")
    started = perf_counter()
    model = BertForPreTraining(config.model)
    groups = groups_of(config.model)
    thor = Thor(model, PretrainingLoss(), config.steps, config=config.optimizer, groups=groups, strict=True)
    before = model.pooler.weight.asnumpy().copy()
    built = perf_counter()
    result = thor.step(*inputs_and_labels(batch(config.model.vocab_size), seed=0, step=0))
    report = {
        "parameters": sum(int(parameter.size) for parameter in model.get_parameters()),
        "loss": result.loss,
        "applied": result.applied,
        "refreshed": result.refreshed,
        "failed_blocks": result.failed_blocks,
        "blocks": result.curvature.blocks if result.curvature else 0,
        "largest_change_of_a_weight": float(abs(model.pooler.weight.asnumpy() - before).max()),
        "build_seconds": built - started,
        "first_step_seconds": perf_counter() - built,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report, indent=2))
