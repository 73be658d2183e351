"""Every number of the published generations, and what each name's fields say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bert_thor.errors import ConfigError
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods import METHODS, preset
from bert_thor.optimizer.schedule import damping, rate_factor, refreshes_at
from bert_thor.recipes import recipe

BOTH = {
    "learning_rate_end": 1e-6,
    "horizon": 30_000,
    "warmup": 0.0,
    "momentum": 0.9,
    "clip_norm": 1.0,
    "damping_end": 1e-6,
    "damping_rule": "absolute",
    "row_weights": "none",
    "factor_decay": 0.0,
    "refresh_interval": 100,
    "refresh_schedule": (),
    "trace_recompute": 0.0,
    "trace_freeze": 0.0,
    "block": 128,
    "update_rms": 0.0,
}
GENERATIONS = {
    "thor-2020": {
        **BOTH,
        "learning_rate": 3.1e-3,
        "first_order_learning_rate": 3.1e-3,
        "learning_rate_power": 1.0,
        "damping": 5e-2,
        "damping_power": 1.0,
        "weight_decay": 5e-4,
        "first_order": ("bias", "classifier", "transform_norm.*"),
    },
    "thor-2021": {
        **BOTH,
        "learning_rate": 6.464e-3,
        "first_order_learning_rate": 6.464e-3,
        "learning_rate_power": 2.0,
        "damping": 7.035e-3,
        "damping_power": 4.0,
        "weight_decay": 0.0,
        "first_order": ("bias",),
    },
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_every_number_of_the_published_generations(name: str) -> None:
    config = preset(name)
    assert {field: getattr(config, field) for field in GENERATIONS[name]} == GENERATIONS[name]


@pytest.mark.parametrize(
    ("name", "step", "rate", "strength"),
    [
        ("thor-2020", 0, 3.1e-3, 5e-2),
        ("thor-2020", 3000, 2.79e-3, 4.5e-2),
        ("thor-2020", 30_000, 1e-6, 1e-6),
        ("thor-2021", 0, 6.464e-3, 7.035e-3),
        ("thor-2021", 1000, 6.040e-3, 6.143e-3),
        ("thor-2021", 2000, 5.631e-3, 5.339e-3),
        ("thor-2021", 3000, 5.236e-3, 4.616e-3),
        ("thor-2021", 40_000, 1e-6, 1e-6),
    ],
)
def test_published_schedules(name: str, step: int, rate: float, strength: float) -> None:
    """The tables of the original as it prints them, to their four digits; the run's own length does not enter."""
    config = preset(name)
    assert abs(config.learning_rate * rate_factor(step, 3000, config) - rate) <= 5e-7
    assert abs(damping(step, 3000, config) - strength) <= 5e-6


def test_published_refreshes() -> None:
    config = preset("thor-2021")
    assert [step for step in range(301) if refreshes_at(step, config)] == [0, 100, 200, 300]


def test_each_name_has_its_preset() -> None:
    assert {"adamw", "lamb", "muon", "sgd", "soap", "thor", "thor-2020", "thor-2021"} <= set(METHODS)
    for name, method in METHODS.items():
        method.defaults.check()
        assert method.name == method.defaults.name == name
    assert preset("thor") == OptimizerConfig()


def test_the_measured_recipe_is_the_default() -> None:
    config = OptimizerConfig()
    assert (config.learning_rate, config.first_order_learning_rate, config.warmup) == (6e-3, 8e-3, 0.06)
    assert (config.momentum, config.update_rms) == (0.95, 0.2)
    assert (config.damping, config.damping_rule, config.damping_power) == (0.1, "relative", 0.0)
    assert (config.factor_decay, config.refresh_interval, config.block) == (0.6, 10, 128)
    assert config.row_weights == "none"
    assert (config.weight_decay, config.clip_norm) == (0.01, 1.0)
    assert (config.beta1, config.beta2) == (0.9, 0.98)


def test_a_recipe_takes_the_values_of_another_optimizer() -> None:
    assert recipe("demo", "muon").optimizer == preset("muon")
    assert recipe("demo").optimizer.name == "thor"
    with pytest.raises(ConfigError, match=r"'adam' is not known.*thor-2020"):
        preset("adam")
    with pytest.raises(ConfigError, match=r"'adam' is not known.*thor-2020"):
        replace(recipe("demo"), optimizer=OptimizerConfig(name="adam")).check()


@pytest.mark.parametrize(
    ("values", "fragments"),
    [
        ({"damping_rule": "abs"}, "damping_rule is 'abs'"),
        ({"row_weights": "gradients"}, "row_weights is 'gradients': use one of none, gradient"),
        ({"block": -1}, "block is -1"),
        ({"block": 1025}, "1 to 1024"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"damping": -0.1}, "damping is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": float("inf")}, "weight_decay is inf"),
        ({"learning_rate_end": 1.0}, "above learning_rate 0.006"),
        ({"trace_freeze": 0.1, "trace_recompute": 0.01}, "above trace_recompute"),
        ({"refresh_interval": 0}, "refresh_interval is 0"),
        ({"refresh_schedule": ("200",)}, "'200'.*STEP:INTERVAL"),
        ({"refresh_schedule": ("200:20", "100:30")}, "'100:30'"),
        ({"refresh_schedule": ("200:0",)}, "refresh_interval is 0"),
    ],
)
def test_values_out_of_range(values: dict[str, object], fragments: str) -> None:
    with pytest.raises(ConfigError, match=fragments):
        OptimizerConfig(**values).check()  # type: ignore[arg-type]


def test_growing_interval() -> None:
    config = OptimizerConfig(refresh_interval=5, refresh_schedule=("20:10", "50:25"))
    assert [step for step in range(120) if refreshes_at(step, config)] == [0, 5, 10, 15, 20, 30, 40, 50, 75, 100]


def test_warm_up_and_linear_decay() -> None:
    config = OptimizerConfig(warmup=0.1)
    factors = [rate_factor(step, 20, config) for step in range(21)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    expected = [(20 - step) / 18 for step in range(2, 21)]
    assert all(abs(ours - theirs) <= 1e-12 for ours, theirs in zip(factors[2:], expected))
    assert rate_factor(0, 20, OptimizerConfig(warmup=0.0)) == 1.0
