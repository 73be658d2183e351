"""A whole step of BERT-Base with THOR beside one with PyTorch's AdamW, in float32 and in bfloat16.

    python -m bench.steps thor --precision bfloat16      stored in bench/results/steps.json

8 sequences of 128 tokens, 20 masked tokens each, dropout 0.1, 12 layers of 768, vocabulary 30522; forward, backward and
update of all weights, without reading data. A step of THOR is a cached one and, of what a refresh takes beyond it, the share of
one step in the refresh interval of the recipe `bert-base`. PyTorch has AdamW in the faster of its forms (fused, foreach), no clipping,
and runs in bfloat16 under autocast; the variants of the network are those of `python -m bench.steps encoder`.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any, Callable

from bench.steps import race
from bench.steps.networks import Setting, backward_pass, batch, check_loss, our_network, pytorch_loss
from bert_thor.network.sizes import BERT_SIZES

RECIPE = "bert-base"
REFRESHES, CACHED = 3, 2
"""Refreshes that are timed, and cached steps after each."""


def thor_seconds(setting: Setting) -> float:
    """Cached step and the share of a refresh."""
    from bert_thor.network.model import PretrainingLoss
    from bert_thor.optimizer import Thor
    from bert_thor.recipes import recipe
    from bert_thor.training.inputs import groups_of, inputs_and_labels

    config, network = recipe(RECIPE), our_network(setting)
    interval = config.optimizer.refresh_interval
    thor = Thor(
        network, PretrainingLoss(), config.steps, config=config.optimizer, groups=groups_of(setting.model), strict=True
    )
    columns = inputs_and_labels(batch(setting.model.vocab_size), seed=0, step=0)
    check_loss("ours", thor.step(*columns).loss, setting.model.vocab_size)
    thor.step(*columns)  # both kinds of steps are compiled now
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for refresh in range(1, REFRESHES + 1):
        thor.step_number = refresh * interval  # only the first steps after a refresh are run
        for _ in range(1 + CACHED):
            refreshes = thor.captures(thor.step_number)
            seconds[refreshes].append(race.seconds_of(lambda: thor.step(*columns)))
    assert len(seconds[True]) == REFRESHES, "the recipe has a schedule of refreshes"
    cached, refresh_step = statistics.median(seconds[False]), statistics.median(seconds[True])
    return cached + (refresh_step - cached) / interval


def adamw_step(name: str, setting: Setting) -> Callable[[], float]:
    """Forward, backward and the faster form of AdamW."""
    network, compute = pytorch_loss(name, setting)
    backward = backward_pass(network, compute)
    check_loss(name, backward(), setting.model.vocab_size)
    optimizer = fastest_adamw(list(network.parameters()))

    def step() -> float:
        loss = backward()
        optimizer.step()
        return loss

    return step


def fastest_adamw(parameters: list[Any]) -> Any:
    """AdamW, fused or foreach, whichever takes less time for these parameters and their gradients."""
    from torch.optim import AdamW

    forms: list[Any] = [
        AdamW(parameters, lr=1e-6, weight_decay=0.01, fused=True),
        AdamW(parameters, lr=1e-6, weight_decay=0.01, foreach=True),
    ]
    return min(forms, key=lambda optimizer: race.median_seconds(optimizer.step))


def worker(name: str, setting: Setting) -> float:
    """Seconds per step of one contender in this process."""
    return thor_seconds(setting) if name == "ours" else race.median_seconds(adamw_step(name, setting))


RACE = race.Race(
    "thor",
    "thor_step",
    "THOR beside AdamW",
    {768: BERT_SIZES[RECIPE]},
    worker,
    __doc__,
    counts=(len(os.sched_getaffinity(0)),),
)


def main(arguments: Sequence[str]) -> None:
    race.main(RACE, arguments)
