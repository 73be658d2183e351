"""Who is compared: every optimizer that the package has, THOR at the head."""

from __future__ import annotations

from bert_thor.optimizer.config import OPTIMIZERS, OptimizerConfig
from bert_thor.optimizer.presets import preset

HEADLINE = "thor"
PUBLISHED = tuple(name for name in OPTIMIZERS if name.startswith(f"{HEADLINE}-"))
"""Presets that are the numbers of others: they are not tuned."""
BASELINES = tuple(name for name in OPTIMIZERS if name not in (HEADLINE, *PUBLISHED))
CONTENDERS = (HEADLINE, *BASELINES, *PUBLISHED)
"""In the order in which they take turns."""


def defaults(name: str) -> OptimizerConfig:
    """What tuning starts from."""
    return preset(name)
