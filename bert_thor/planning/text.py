"""The plan as text: memory, work, traffic, time, and the evidence of each figure."""

from __future__ import annotations

from bert_thor.planning import machine
from bert_thor.planning.plan import Plan
from bert_thor.planning.timing import EXCHANGE, Part

NO_FLOAT32 = (
    "the cube of an Ascend 910 has no float32 product, and MindSpore rounds the operands of one to float16 there, with no loss scale: "
    "assumed is that the vector units multiply, in float32; the run of the original, in float16, says nothing of this one"
)


def describe(plan: Plan) -> str:
    """The whole plan."""
    step, optimizer = plan.step, plan.config.optimizer
    parts = f", {step.accumulate} times {step.batch.sequences // step.accumulate}" if step.accumulate > 1 else ""
    lines = [
        f"{plan.config.recipe} with {optimizer.name} in {step.precision} on {step.devices} × Ascend 910: {plan.parameters:,} parameters, "
        f"{step.batch.sequences} sequences of {step.batch.length} tokens per device{parts}",
        *([NO_FLOAT32] if step.precision == "float32" else []),
        "",
        f"memory per device (activations in {step.precision}, weights and the optimizer's state in float32)",
        *(f"  {kind:44}{size / 2**30:9.3f} GiB" for kind, size in plan.memory.items() if size),
        f"  {'together':44}{sum(plan.memory.values()) / 2**30:9.3f} GiB of {machine.DEVICE_MEMORY.value / 2**30:.0f}",
        *([f"  {plan.advice}"] if plan.advice else []),
        "",
        "work per device and step",
        *(f"  {name:44}{value / 1e12:9.3f} TFLOP" for name, value in step.flop.items() if value),
        "",
        f"sent by each device (gradients in {step.exchange_precision}, factors and inverses in float32)",
        *(f"  {name:44}{value / 2**20:9.1f} MiB" for name, value in step.traffic.items() if value),
        "",
        "projected time",
        *(_part_line(part) for part in plan.parts),
        *_totals(plan),
        *(_overlapped(plan) if step.devices > 1 else []),
        *(["", _original()] if step.precision == "float16" else []),
        "",
        "constants",
        *(
            f"  {name}: {constant.value:g} {constant.unit}, {constant.kind}: {constant.source}"
            for name, constant in _constants(plan).items()
        ),
        *(f"  {part.name}: {part.kind}: {part.how}" for part in plan.parts if part.kind in ("modelled", "simulated")),
    ]
    return "\n".join(lines)


def _part_line(part: Part) -> str:
    when = "per refresh" if part.per_refresh else "every step"
    within = f", a part of {part.within}" if part.within else ""
    return f"  {part.name:44}{part.seconds * 1e3:9.2f} ms   {when:13}{part.kind}{within}"


def _totals(plan: Plan) -> list[str]:
    """With the exchange after the backward pass."""
    lines = [_line("cached step", plan.cached)]
    if plan.step.layers:
        interval = plan.config.optimizer.refresh_interval
        alone = plan.step.devices * sum(p.seconds for p in plan.parts if p.name.startswith("cholesky_inverse"))
        average = plan.cached + (plan.refresh - plan.cached) / interval
        lines += [
            f"{_line('refresh step', plan.refresh)}   {plan.refresh / plan.cached:.2f} × the cached step",
            f"{_line('cholesky_inverse if every device inverted all', alone)}   instead of a share and the gathering",
            _line(f"average, a refresh every {interval} steps", average),
            f"  {'evidence for the refresh step':44}"
            + ", ".join(f"{kind} {seconds / plan.refresh:.0%}" for kind, seconds in _by_kind(plan).items()),
        ]
    return lines


def _overlapped(plan: Plan) -> list[str]:
    """With each bucket sent as soon as the backward pass has finished it."""
    lines = [
        f"{_line(f'{EXCHANGE}, overlapped', plan.exposed)}   modelled: what is left of it after the backward pass, "
        f"{plan.hidden * 1e3:.2f} ms less",
        _line("cached step, overlapped", plan.cached - plan.hidden),
    ]
    return lines + ([_line("refresh step, overlapped", plan.refresh - plan.hidden)] if plan.step.layers else [])


def _line(name: str, seconds: float) -> str:
    return f"  {name:44}{seconds * 1e3:9.2f} ms"


def _by_kind(plan: Plan) -> dict[str, float]:
    counted = [part for part in plan.parts if not part.within]
    seconds = {kind: sum(part.seconds for part in counted if part.kind == kind) for kind in machine.KINDS}
    return {kind: value for kind, value in seconds.items() if value}


def _original() -> str:
    cached, refresh = machine.ORIGINAL_CACHED.value, machine.ORIGINAL_REFRESH.value
    return (
        "the original on the same machine, in float16 (measured, its log): "
        f"{cached * 1e3:.0f} ms cached, {refresh * 1e3:.0f} ms with a refresh ({refresh / cached:.2f} ×), "
        f"{machine.ORIGINAL_AVERAGE.value * 1e3:.0f} ms on average"
    )


def _constants(plan: Plan) -> dict[str, machine.Constant]:
    """Those that the plan's precision uses."""
    return {
        "cores": machine.CORES,
        "clock": machine.CLOCK,
        "memory bandwidth": machine.MEMORY_BANDWIDTH,
        "matrix rate": plan.step.matrix_rate,
        "exchange rate": plan.step.exchange_rate,
        "update passes": machine.UPDATE_PASSES,
    }
