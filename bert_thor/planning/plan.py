"""The projection: memory, work, traffic and time of the cached and of the refresh step on Ascend 910, in one precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.parallel.precision import exchange_precision
from bert_thor.planning import machine, work
from bert_thor.planning.timing import EXCHANGE, Part, Step, exposed_exchange, parts
from bert_thor.precision import BYTES, Precision
from bert_thor.recipes import PretrainConfig, recipe


@dataclass(frozen=True)
class PlanConfig:
    """What a run needs, and how long its steps should take on Ascend 910."""

    recipe: str = "bert-large"
    """The recipe whose network and optimizer are planned."""
    optimizer: Optional[str] = None
    """Another optimizer than the recipe's."""
    devices: int = 8
    """Devices that train together."""
    precision: Precision = "float16"
    """Precision of products and activations; float16 is what the cube of an Ascend 910 multiplies."""
    exchange_precision: Optional[Precision] = None
    """Precision in which gradients are summed over devices; by default that of the run."""
    batch_size: Optional[int] = None
    """Sequences per device and step; by default the recipe's."""
    accumulate: int = 1
    """Parts into which a device divides its sequences of a step, to compute one after another and add their gradients up."""
    sequence_length: Optional[int] = None
    """Tokens of a sequence; by default the longest that the network takes."""
    predictions: Optional[int] = None
    """Masked positions of a sequence; by default 15 % of its tokens, as MLPerf."""
    kernels: Optional[Path] = None
    """JSON file with simulated cycles of the kernels; by default those that the package holds."""
    output: Optional[Path] = None
    """Write the plan as JSON here too."""


@dataclass(frozen=True)
class Plan:
    """Everything that `describe` prints."""

    config: PretrainConfig
    step: Step
    parameters: int
    memory: dict[str, int]
    advice: str
    """What to do where the memory does not suffice; empty where it does."""
    parts: list[Part]
    exposed: float
    """Seconds of the exchange of gradients that an overlapped exchange leaves."""

    @property
    def cached(self) -> float:
        """Seconds of a step with cached inverses."""
        return sum(part.seconds for part in self.parts if not part.per_refresh and not part.within)

    @property
    def refresh(self) -> float:
        """Seconds of a step that refreshes the curvature."""
        return sum(part.seconds for part in self.parts if not part.within)

    @property
    def hidden(self) -> float:
        """Seconds that a step saves where the exchange of gradients overlaps the backward pass."""
        return sum(part.seconds for part in self.parts if part.name == EXCHANGE) - self.exposed


def make_plan(config: PlanConfig) -> Plan:
    """Compute the plan; raises `ConfigError` for values that are not possible."""
    chosen = recipe(config.recipe, config.optimizer)
    batch = _batch(config, chosen)
    if config.precision not in machine.MATRIX_RATES:
        raise ConfigError(f"precision is {config.precision}, which an Ascend 910 does not have: use float16")
    memory = _memory(config, chosen, batch, config.accumulate)
    layers = work.preconditioned_layers(chosen.model, chosen.optimizer, batch)
    flop = {
        "forward and backward": work.step_flop(chosen.model, batch),
        "products of the update": work.update_flop(chosen.model, chosen.optimizer),
        "precondition": sum(layer.precondition_flop for layer in layers),
        "fisher_covariance (refresh)": sum(layer.a.covariance_flop + layer.g.covariance_flop for layer in layers),
        "cholesky_inverse (refresh, all devices)": sum(layer.a.inverse_flop + layer.g.inverse_flop for layer in layers),
    }
    parameters = work.parameter_count(chosen.model)
    exchanged = exchange_precision(config.exchange_precision, config.precision == "float16", "Ascend")
    traffic = _traffic(BYTES[exchanged] * parameters, memory["captured factors"], config.devices)
    step = Step(
        chosen.model,
        batch,
        config.devices,
        config.precision,
        exchanged,
        config.accumulate,
        layers,
        flop,
        traffic,
    )
    found = parts(step, machine.kernel_cycles(config.kernels))
    return Plan(chosen, step, parameters, memory, _advice(config, chosen, batch), found, exposed_exchange(step))


def _batch(config: PlanConfig, chosen: PretrainConfig) -> work.Batch:
    length = config.sequence_length or chosen.model.max_position
    predictions = config.predictions or min(76, max(1, int(0.15 * length)))
    sequences = config.batch_size or chosen.batch_size
    for name, value in (
        ("devices", config.devices),
        ("batch_size", sequences),
        ("accumulate", config.accumulate),
        ("predictions", predictions),
        ("sequence_length", length),
    ):
        if value < 1:
            raise ConfigError(f"{name} is {value}: it must be 1 or more")
    if length > chosen.model.max_position:
        raise ConfigError(
            f"sequence_length is {length}: the position table of {config.recipe} has {chosen.model.max_position} rows"
        )
    if sequences % config.accumulate:
        raise ConfigError(
            f"accumulate is {config.accumulate}: it must divide the batch_size of a device, {sequences}, such as "
            f"{max(n for n in _divisors(sequences) if n < config.accumulate)}"
        )
    return work.Batch(sequences, length, predictions)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _memory(config: PlanConfig, chosen: PretrainConfig, batch: work.Batch, accumulate: int) -> dict[str, int]:
    """Bytes by kind where the batch of a step is computed in `accumulate` parts."""
    part = work.Batch(batch.sequences // accumulate, batch.length, batch.predictions)
    return work.memory(chosen.model, chosen.optimizer, part, config.devices, False, config.precision, accumulate)


def _advice(config: PlanConfig, chosen: PretrainConfig, batch: work.Batch) -> str:
    """A sentence where the batch does not fit a device."""
    limit = machine.DEVICE_MEMORY.value
    if sum(_memory(config, chosen, batch, config.accumulate).values()) <= limit:
        return ""
    given = f"batch_size {batch.sequences} does not fit into the {limit / 2**30:.0f} GiB of a device"
    for accumulate in _divisors(batch.sequences):
        needed = sum(_memory(config, chosen, batch, accumulate).values())
        if accumulate > config.accumulate and needed <= limit:
            at_once = batch.sequences // accumulate
            return f"{given}: use --accumulate {accumulate}, {at_once} at a time, which needs {needed / 2**30:.1f} GiB"
    return f"{given}, nor does one sequence at a time: use a smaller network, shorter sequences or another optimizer"


def _traffic(gradient_bytes: int, factor_bytes: int, devices: int) -> dict[str, int]:
    """Bytes that each device sends per collective, by a ring: AllReduce 2(R − 1)/R of the buffer, AllGather (R − 1)/R."""
    share = (devices - 1) / devices
    return {
        "gradients (AllReduce)": int(2 * share * gradient_bytes),
        "factors (AllReduce, refresh)": int(2 * share * factor_bytes),
        "inverses (AllGather, refresh)": int(share * factor_bytes),
    }


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values; seconds, bytes, FLOP."""
    step = plan.step
    return {
        "recipe": plan.config.recipe,
        "optimizer": plan.config.optimizer.name,
        "devices": step.devices,
        "precision": step.precision,
        "exchange_precision": step.exchange_precision,
        "accumulate": step.accumulate,
        "batch": vars(step.batch),
        "parameters": plan.parameters,
        "memory_bytes": plan.memory,
        "advice": plan.advice,
        "flop": step.flop,
        "sent_bytes": step.traffic,
        "parts": [vars(part) for part in plan.parts],
        "cached_seconds": plan.cached,
        "refresh_seconds": plan.refresh,
        "cached_overlapped_seconds": plan.cached - plan.hidden,
        "refresh_overlapped_seconds": plan.refresh - plan.hidden,
    }
