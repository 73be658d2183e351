"""The trace rule of the THOR paper (Chen et al., AAAI 2021): which layers to invert again at a refresh.

Δ = | |tr(F + λI)| − |tr(F₀ + λI)| | / |tr(F₀ + λI)| with F = A ⊗ G now and F₀ the curvature in use: Δ > ω₁ recompute, ω₂ ≤ Δ ≤ ω₁ reuse,
Δ < ω₂ freeze the layer for good.
"""

from __future__ import annotations

RECOMPUTE, REUSE, FREEZE, FROZEN = "recompute", "reuse", "freeze", "frozen"


def damped_trace(trace_a: float, trace_g: float, size: float, damping: float) -> float:
    """tr(A ⊗ G + λI) = tr A · tr G + λ·size, `size` being the number of weights."""
    return trace_a * trace_g + damping * size


def relative_change(trace: float, before: float) -> float:
    """Δ; infinite where there was no trace before."""
    return abs(abs(trace) - abs(before)) / abs(before) if before != 0.0 else float("inf")


def decide(change: float, recompute: float, freeze: float) -> str:
    """The decision for Δ, ω₁ and ω₂."""
    if change > recompute:
        return RECOMPUTE
    return FREEZE if change < freeze else REUSE
