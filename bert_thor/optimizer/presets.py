"""The defaults that belong to each optimizer name."""

from __future__ import annotations

from bert_thor.errors import ConfigError
from bert_thor.optimizer.config import OPTIMIZERS, OptimizerConfig

_ORIGINAL = dict(
    learning_rate_end=1e-6,
    warmup=0.0,
    horizon=30_000,
    momentum=0.9,
    momentum_order="after",
    decay="l2",
    clip_norm=1.0,
    damping_end=1e-6,
    damping_rule="absolute",
    factor_decay=0.0,
    refresh_interval=100,
    block=128,
    update_rms=0.0,
)
"""What both published generations share: momentum after preconditioning, √λ on the diagonals, factors of one batch, 100 steps stale."""

_FIRST_ORDER = dict(warmup=0.06, weight_decay=0.01)

PRESETS = {
    "thor": OptimizerConfig(),
    "thor-2020": OptimizerConfig(
        name="thor-2020",
        learning_rate=3.1e-3,
        first_order_learning_rate=3.1e-3,
        learning_rate_power=1.0,
        damping=5e-2,
        damping_power=1.0,
        weight_decay=5e-4,
        clip="tensor",
        first_order=("*bias", "transform_norm.*", "next_sentence.*"),
        **_ORIGINAL,  # type: ignore[arg-type]
    ),
    "thor-2021": OptimizerConfig(
        name="thor-2021",
        learning_rate=6.464e-3,
        first_order_learning_rate=6.464e-3,
        learning_rate_power=2.0,
        damping=7.035e-3,
        damping_power=4.0,
        weight_decay=0.0,
        clip="direction",
        first_order=("*bias",),
        **_ORIGINAL,  # type: ignore[arg-type]
    ),
    "sgd": OptimizerConfig(name="sgd", learning_rate=0.3, first_order_learning_rate=0.3, momentum=0.9, **_FIRST_ORDER),  # type: ignore[arg-type]
    "adamw": OptimizerConfig(
        name="adamw", learning_rate=1.4e-3, first_order_learning_rate=5.6e-3, warmup=0.1, weight_decay=0.01
    ),
    "lamb": OptimizerConfig(
        name="lamb",
        learning_rate=1.4e-2,
        first_order_learning_rate=1.4e-2,
        epsilon=1e-6,
        **_FIRST_ORDER,  # type: ignore[arg-type]
    ),
    "muon": OptimizerConfig(name="muon", learning_rate=8e-3, first_order_learning_rate=8e-3, **_FIRST_ORDER),  # type: ignore[arg-type]
    "soap": OptimizerConfig(
        name="soap",
        learning_rate=4e-3,
        first_order_learning_rate=8e-3,
        beta1=0.95,
        beta2=0.95,
        **_FIRST_ORDER,  # type: ignore[arg-type]
    ),
}
"""thor-2020 is the run of 14 minutes (August 2020), thor-2021 that of 11 minutes (2021) of the original BERT-THOR; the baselines' values
are those that did best on a 2-layer network in a first search."""


def preset(name: str) -> OptimizerConfig:
    """The defaults of optimizer `name`; raises `ConfigError` with the list when there is none."""
    if name not in PRESETS:
        raise ConfigError(f"optimizer {name!r} is not known: use one of {', '.join(OPTIMIZERS)}")
    return PRESETS[name]
