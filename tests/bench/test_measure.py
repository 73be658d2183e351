"""Medians of interleaved rounds, and when they are not to be trusted."""

from __future__ import annotations

import argparse

import pytest

from bench import measure
from bench.case import Case
from bench.measure import Result, interleave
from bench.steps import race


@pytest.mark.parametrize(
    ("repeatability", "quiet", "noisy"), [(0.05, 9, False), (0.2, 9, True), (0.05, 8, True), (float("nan"), 9, True)]
)
def test_noisy(repeatability: float, quiet: int, noisy: bool) -> None:
    assert Result({"ours": 1.0}, repeatability, quiet, 9).noisy is noisy


def test_disturbed_rounds_are_repeated_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = iter([1.0, 1.0, 0.5, 0.5, *[1.0] * 10])  # two in a round of one contender; the second round is disturbed
    monkeypatch.setattr(measure, "_probe", lambda threads: next(probes))
    times = iter([1.0, 9.0, 1.0, 1.0])
    result = interleave(["ours"], lambda name: next(times), 1, 1.0, 3, 4)
    assert result == Result({"ours": 1.0}, 0.0, 3, 3)


def test_a_machine_that_is_never_quiet_gives_a_noisy_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_probe", lambda threads: 0.5)
    result = interleave(["ours"], lambda name: 1.0, 1, 1.0, 3, 2)
    assert result.quiet_rounds == 0 and result.noisy


def test_everybody_runs_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {"ours": 0, "peer": 0}
    monkeypatch.setattr(measure, "_probe", lambda threads: 1.0)
    monkeypatch.setattr(measure, "SAMPLE_SECONDS", 0.0)

    def counter(name: str) -> None:
        calls[name] += 1

    case = Case("any", "1", {"fp32": 1.0}, {name: lambda name=name: counter(name) for name in calls})
    result = measure.measure(case, 1, 1.0)
    assert set(result.seconds) == set(calls) and calls["ours"] == calls["peer"] >= measure.ROUNDS


@pytest.mark.parametrize("text", ["1", "0", "-3", "many"])
def test_too_few_rounds_get_a_sentence(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{text} rounds cannot be compared"):
        race._rounds(text)
