"""The projection: memory, work, traffic and time of the cached and of the refresh step on Ascend 910."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.files import write_json
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.parallel.buckets import BUCKET_BYTES
from bert_thor.planning import machine, work
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
    batch_size: Optional[int] = None
    """Sequences per device and step; by default the recipe's."""
    sequence_length: Optional[int] = None
    """Tokens of a sequence; by default the longest that the network takes."""
    predictions: Optional[int] = None
    """Masked positions of a sequence; by default 15 % of its tokens, as MLPerf."""
    kernels: Optional[Path] = None
    """JSON file with simulated cycles of the kernels; by default those that the package holds."""
    output: Optional[Path] = None
    """Write the plan as JSON here too."""


@dataclass(frozen=True)
class Part:
    """One part of a step's time."""

    name: str
    seconds: float
    kind: str
    """measured, simulated, modelled, inferred or assumed."""
    per_refresh: bool
    how: str


@dataclass(frozen=True)
class Plan:
    """Everything that `describe` prints."""

    config: PretrainConfig
    batch: work.Batch
    devices: int
    parameters: int
    memory: dict[str, int]
    layers: list[work.PreconditionedLayer]
    flop: dict[str, int]
    traffic: dict[str, int]
    parts: list[Part]

    @property
    def cached(self) -> float:
        """Seconds of a step with cached inverses."""
        return sum(part.seconds for part in self.parts if not part.per_refresh)

    @property
    def refresh(self) -> float:
        """Seconds of a step that refreshes the curvature."""
        return sum(part.seconds for part in self.parts)


def make_plan(config: PlanConfig) -> Plan:
    """Compute the plan; raises `ConfigError` for values that are not possible."""
    chosen = recipe(config.recipe, config.optimizer)
    batch = _batch(config, chosen)
    model, optimizer = chosen.model, chosen.optimizer
    memory = work.memory(model, optimizer, batch, config.devices, False, BUCKET_BYTES // 4)
    layers = work.preconditioned_layers(model, optimizer, batch)
    flop = {
        "forward and backward": work.step_flop(model, batch),
        "products of the update": work.update_flop(model, optimizer),
        "precondition": sum(layer.precondition_flop for layer in layers),
        "fisher_covariance (refresh)": sum(layer.a.covariance_flop + layer.g.covariance_flop for layer in layers),
        "cholesky_inverse (refresh, all devices)": sum(layer.a.inverse_flop + layer.g.inverse_flop for layer in layers),
    }
    parameters = work.parameter_count(model)
    traffic = _traffic(parameters, memory["captured factors"], config.devices)
    parts = _parts(replace(chosen, batch_size=batch.sequences), config, batch, layers, memory, flop, traffic)
    return Plan(chosen, batch, config.devices, parameters, memory, layers, flop, traffic, parts)


def _batch(config: PlanConfig, chosen: PretrainConfig) -> work.Batch:
    length = config.sequence_length or chosen.model.max_position
    predictions = config.predictions or min(76, max(1, int(0.15 * length)))
    sequences = config.batch_size or chosen.batch_size
    for name, value in (
        ("devices", config.devices),
        ("batch_size", sequences),
        ("predictions", predictions),
        ("sequence_length", length),
    ):
        if value < 1:
            raise ConfigError(f"{name} is {value}: it must be 1 or more")
    if length > chosen.model.max_position:
        raise ConfigError(
            f"sequence_length is {length}: the position table of {config.recipe} has {chosen.model.max_position} rows"
        )
    return work.Batch(sequences, length, predictions)


def _traffic(parameters: int, factor_bytes: int, devices: int) -> dict[str, int]:
    """Bytes that each device sends per collective, by a ring: AllReduce 2(R − 1)/R of the buffer, AllGather (R − 1)/R."""
    share = (devices - 1) / devices
    return {
        "gradients (AllReduce)": int(2 * share * work.FLOAT * parameters),
        "factors (AllReduce, refresh)": int(2 * share * factor_bytes),
        "inverses (AllGather, refresh)": int(share * factor_bytes),
    }


def _parts(
    chosen: PretrainConfig,
    config: PlanConfig,
    batch: work.Batch,
    layers: list[work.PreconditionedLayer],
    memory: dict[str, int],
    flop: dict[str, int],
    traffic: dict[str, int],
) -> list[Part]:
    kernels = machine.kernel_cycles(config.kernels)
    factors = [blocks for layer in layers for blocks in (layer.a, layer.g)]
    covariance, inverse, precondition = (
        kernels[name] for name in ("fisher_covariance", "cholesky_inverse", "precondition")
    )
    rows = covariance.rows or 1
    cycles = {
        "fisher_covariance": sum(f.count * _scaled(f.edge, 2) * f.rows / rows for f in factors) * covariance.cycles,
        "cholesky_inverse": -(-sum(f.count * _scaled(f.edge, 3) for f in factors) // config.devices) * inverse.cycles,
        "precondition": sum(_tiles(layer) for layer in layers) * precondition.cycles,
    }
    seconds = {name: value / (machine.CORES.value * machine.CLOCK.value) for name, value in cycles.items()}
    names = list(traffic)
    exchange = {name: traffic[name] / machine.EXCHANGE_RATE.value for name in names}
    update = machine.UPDATE_PASSES.value * memory["weights"] / machine.MEMORY_BANDWIDTH.value
    network = flop["forward and backward"] / machine.MATRIX_RATE.value
    parts = [
        Part("forward and backward", network, machine.MATRIX_RATE.kind, False, "FLOP at the framework's matrix rate"),
        Part(
            "exchange of gradients", exchange[names[0]], machine.EXCHANGE_RATE.kind, False, "bytes at the exchange rate"
        ),
        Part("precondition", seconds["precondition"], precondition.kind, False, precondition.source),
        Part(
            "products of the update",
            flop["products of the update"] / machine.MATRIX_RATE.value,
            machine.MATRIX_RATE.kind,
            False,
            "FLOP at the framework's matrix rate",
        ),
        Part("update of the weights", update, machine.UPDATE_PASSES.kind, False, "bytes at HBM's bandwidth"),
        Part("fisher_covariance", seconds["fisher_covariance"], covariance.kind, True, covariance.source),
        Part("exchange of factors", exchange[names[1]], machine.EXCHANGE_RATE.kind, True, "bytes at the exchange rate"),
        Part("cholesky_inverse, a share per device", seconds["cholesky_inverse"], inverse.kind, True, inverse.source),
        Part(
            "gathering the inverses", exchange[names[2]], machine.EXCHANGE_RATE.kind, True, "bytes at the exchange rate"
        ),
    ]
    return [part for part in parts if part.seconds > 0.0]


def _tiles(layer: work.PreconditionedLayer) -> float:
    """Tiles of 128x128 that a weight is preconditioned in."""
    return layer.g.count * layer.a.count * _scaled(layer.g.edge, 1) * _scaled(layer.a.edge, 1)


def _scaled(edge: int, power: int) -> float:
    """Work of a block of this edge beside one of 128, for work that grows with this power of the edge."""
    return (edge / 128) ** power


def describe(plan: Plan) -> str:
    """The plan as text."""
    optimizer = plan.config.optimizer
    cached, refresh = machine.ORIGINAL_CACHED.value, machine.ORIGINAL_REFRESH.value
    lines = [
        f"{plan.config.recipe} with {optimizer.name} on {plan.devices} × Ascend 910: {plan.parameters:,} parameters, "
        f"{plan.batch.sequences} sequences of {plan.batch.length} tokens per device",
        "",
        "memory per device (float32)",
        *(f"  {kind:44}{size / 2**30:9.3f} GiB" for kind, size in plan.memory.items() if size),
        f"  {'together':44}{sum(plan.memory.values()) / 2**30:9.3f} GiB of {machine.DEVICE_MEMORY.value / 2**30:.0f}",
        "",
        "work per device and step",
        *(f"  {name:44}{value / 1e12:9.3f} TFLOP" for name, value in plan.flop.items() if value),
        "",
        "sent by each device",
        *(f"  {name:44}{value / 2**20:9.1f} MiB" for name, value in plan.traffic.items() if value),
        "",
        "projected time",
        *(_part_line(part) for part in plan.parts),
        *_totals(plan, optimizer),
        "",
        "the original on the same machine (measured, its log): "
        f"{cached * 1e3:.0f} ms cached, {refresh * 1e3:.0f} ms with a refresh ({refresh / cached:.2f} ×), "
        f"{machine.ORIGINAL_AVERAGE.value * 1e3:.0f} ms on average",
        "",
        "constants",
        *(
            f"  {name}: {constant.value:g} {constant.unit}, {constant.kind}: {constant.source}"
            for name, constant in _constants().items()
        ),
        *(f"  {part.name}: {part.kind}: {part.how}" for part in plan.parts if part.kind in ("modelled", "simulated")),
    ]
    return "\n".join(lines)


def _part_line(part: Part) -> str:
    when = "per refresh" if part.per_refresh else "every step"
    return f"  {part.name:44}{part.seconds * 1e3:9.2f} ms   {when:12} {part.kind}"


def _totals(plan: Plan, optimizer: OptimizerConfig) -> list[str]:
    lines = [f"  {'cached step':44}{plan.cached * 1e3:9.2f} ms"]
    if plan.layers:
        interval = optimizer.refresh_interval
        alone = sum(part.seconds for part in plan.parts if part.name.startswith("cholesky_inverse")) * plan.devices
        average = plan.cached + (plan.refresh - plan.cached) / interval
        lines += [
            f"  {'refresh step':44}{plan.refresh * 1e3:9.2f} ms   {plan.refresh / plan.cached:.2f} × the cached step",
            f"  {'cholesky_inverse if every device inverted all':44}{alone * 1e3:9.2f} ms   instead of a share and the gathering",
            f"  {f'average, a refresh every {interval} steps':44}{average * 1e3:9.2f} ms",
            f"  {'evidence for the refresh step':44}"
            + ", ".join(f"{kind} {seconds / plan.refresh:.0%}" for kind, seconds in _by_kind(plan).items()),
        ]
    return lines


def _by_kind(plan: Plan) -> dict[str, float]:
    seconds = {kind: sum(part.seconds for part in plan.parts if part.kind == kind) for kind in machine.KINDS}
    return {kind: value for kind, value in seconds.items() if value}


def _constants() -> dict[str, machine.Constant]:
    names = ("CORES", "CLOCK", "MEMORY_BANDWIDTH", "MATRIX_RATE", "EXCHANGE_RATE", "UPDATE_PASSES")
    return {name.lower().replace("_", " "): getattr(machine, name) for name in names}


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values; seconds, bytes, FLOP."""
    return {
        "recipe": plan.config.recipe,
        "optimizer": plan.config.optimizer.name,
        "devices": plan.devices,
        "batch": vars(plan.batch),
        "parameters": plan.parameters,
        "memory_bytes": plan.memory,
        "flop": plan.flop,
        "sent_bytes": plan.traffic,
        "parts": [vars(part) for part in plan.parts],
        "cached_seconds": plan.cached,
        "refresh_seconds": plan.refresh,
    }


def run_plan(config: PlanConfig) -> None:
    """Print the plan, and write it as JSON if asked to."""
    plan = make_plan(config)
    print(describe(plan))
    if config.output is not None:
        write_json(config.output, as_json(plan))
