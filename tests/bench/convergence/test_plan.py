"""The comparison is fair by construction: equal budgets, selection on validation documents, test documents that nothing else sees."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.convergence import contenders, plan, splits, stored, summary
from bench.environment import elsewhere
from bert_thor.optimizer import preset
from bert_thor.optimizer.methods import METHODS

RESULTS = Path(plan.__file__).resolve().parents[1] / "results"


def result(spec: plan.Spec, loss: float, accuracies: tuple[float, ...] = (0.1, 0.2)) -> dict[str, Any]:
    """Of a run whose steps take 0.1 s, 0.3 s with a refresh, every tenth refreshes, and the first two compile for 5 s."""
    times = {"first_two": 5.0, "plain": 0.1, "refresh": 0.3}
    if spec.stage == "seconds" and spec.optimizer == "thor":
        times.update(precondition=0.005, covariance=0.03, inversion=0.04)
    if spec.stage == "seconds":
        return {"spec": spec.to_json(), "step_seconds": times}
    steps = [spec.steps * (k + 1) // len(accuracies) for k in range(len(accuracies))]
    test = [
        {"step": step, "samples": 16 * step, "refreshes": step // 10, "masked_lm_accuracy": value}
        for step, value in zip(steps, accuracies)
    ]
    validation = [{**test[-1], "masked_lm_loss": loss}]
    test = [{**point, "masked_lm_loss": 100.0 - loss} for point in test]  # the opposite order: must not matter
    return {"spec": spec.to_json(), "validation": validation, "test": test, "step_seconds": times}


def played(stage: str, results: list[dict[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Go through a whole stage with random losses."""
    r = random.Random(seed)
    while specs := plan.next_specs(stage, results):
        results.append(result(specs[0], r.random()))
    return results


def test_every_optimizer_has_the_same_number_of_tuning_runs() -> None:
    counts = Counter(entry["spec"]["optimizer"] for entry in played("tiny", []))
    assert set(counts) == set(METHODS) == set(contenders.CONTENDERS)
    assert {counts[name] for name in contenders.CONTENDERS if name not in contenders.PUBLISHED} == {12}
    assert {counts[name] for name in contenders.PUBLISHED} == {5}


def test_runs_of_a_group_can_be_made_in_any_order() -> None:
    """Side by side they finish in another order; what is run must not depend on it."""
    keys = []
    for take in (0, -1):
        results: list[dict[str, Any]] = []
        while specs := plan.next_specs("tiny", results):
            spec = specs[take]
            results.append(result(spec, random.Random(spec.key).random()))
        keys.append({entry["spec"]["key"] for entry in results})
    assert keys[0] == keys[1]


def test_the_optimizers_take_turns() -> None:
    order = [entry["spec"]["optimizer"] for entry in played("tiny", [])]
    count = len(contenders.CONTENDERS)
    assert tuple(order[:count]) == tuple(order[count : 2 * count]) == contenders.CONTENDERS


def test_values_are_chosen_by_validation_loss_alone() -> None:
    results: list[dict[str, Any]] = []
    while specs := plan.next_specs("tiny", results):
        spec = specs[0]
        good = spec.values["learning_rate"] == plan._rounded(preset(spec.optimizer).learning_rate * 2)
        results.append(result(spec, 1.0 if good else 2.0))
    done = plan.by_key(results)
    for optimizer in contenders.CONTENDERS:
        assert plan.tuned(optimizer, done)["learning_rate"] == pytest.approx(
            2 * preset(optimizer).learning_rate, rel=5e-3
        )


def test_a_broken_run_counts_and_is_never_chosen() -> None:
    assert plan.loss_of({"validation": []}) == float("inf")
    assert plan.loss_of({"validation": [{"masked_lm_loss": float("nan")}]}) == float("inf")


def test_knobs_are_fields_with_values_beside_the_preset() -> None:
    for optimizer, knobs in plan.KNOBS.items():
        for name, values in knobs:
            own = getattr(preset(optimizer), name)
            assert own not in values and len(set(values)) == 2, (optimizer, name)


def test_tuning_starts_from_the_preset() -> None:
    for optimizer in contenders.CONTENDERS:
        values = next(plan.tiny_groups(optimizer, {}))[0].values
        for name, value in values.items():
            assert value == float(f"{getattr(preset(optimizer), name):.3g}")


def test_an_optimizer_that_no_table_lists_is_tuned_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "KNOBS", {})
    monkeypatch.setattr(plan, "MINI_KNOB", {})
    counts = Counter(entry["spec"]["optimizer"] for entry in played("mini", played("tiny", [])))
    assert {counts[name] for name in contenders.BASELINES} <= {12 + 3, 12 + 6} and counts[contenders.HEADLINE] == 18


def test_the_stored_results_are_complete_by_this_plan() -> None:
    """Nothing has to be measured again of a method that was measured."""
    runs = json.loads((RESULTS / "convergence.json").read_text())["runs"]
    specs = [plan.Spec(run["stage"], run["optimizer"], run["values"], run["steps"], run["seed"]) for run in runs]
    results = [stored.result(spec, run) for spec, run in zip(specs, runs)]
    measured = {spec.optimizer for spec in specs}
    assert {contenders.HEADLINE, "adamw", "muon"} <= measured
    for stage in ("tiny", "mini", "claim", "longer", "variants"):
        assert [spec for spec in plan.next_specs(stage, results) if spec.optimizer in measured] == []


def rehearsed(stages: tuple[str, ...]) -> plan.Done:
    """THOR is ahead of AdamW by a factor of two, and AdamW of all others."""
    results: list[dict[str, Any]] = []
    for stage in ("tiny", *stages):
        while specs := plan.next_specs(stage, results):
            spec = specs[0]
            end = {"thor": 0.4, "adamw": 0.2}.get(spec.optimizer, 0.1) + 0.001 * spec.seed
            loss = {"thor": 1.0, "adamw": 2.0}.get(spec.optimizer, 3.0)
            results.append(result(spec, loss, (end / 4, end / 2, 0.75 * end, end)))
    return plan.by_key(results)


def test_the_claim_begins_with_what_decides_the_best_baseline() -> None:
    """Then the headline pair has its seeds, then the others theirs."""
    specs = [entry["spec"] for (stage, _), entry in rehearsed(("mini", "claim")).items() if stage == "claim"]
    others = set(contenders.BASELINES) - {"adamw"}
    first = [name for name in contenders.CONTENDERS if name in ("thor", "adamw", min(others))]
    assert [(spec["optimizer"], spec["seed"]) for spec in specs[:3]] == [(name, 1) for name in first]
    assert {spec["optimizer"] for spec in specs[3:11]} == {"thor", "adamw"}
    assert {spec["optimizer"] for spec in specs[11:]} == others


def test_thor_and_the_baseline_ahead_try_as_many_values_on_mini() -> None:
    results = rehearsed(("mini",))
    counts = Counter(entry["spec"]["optimizer"] for (stage, _), entry in results.items() if stage == "mini")
    assert counts["thor"] == counts["adamw"] == 6 and {counts[name] for name in contenders.PUBLISHED} == {1}
    assert {counts[name] for name in set(contenders.BASELINES) - {"adamw"}} == {3}


def test_the_headline_pair_has_five_seeds_and_the_others_three() -> None:
    done = rehearsed(("mini", "claim"))
    claims = [entry["spec"] for (stage, _), entry in done.items() if stage == "claim"]
    for optimizer in contenders.CONTENDERS:
        full = [spec for spec in claims if spec["optimizer"] == optimizer]
        seeds = 0 if optimizer in contenders.PUBLISHED else 5 if optimizer in ("thor", "adamw") else 3
        assert len({spec["seed"] for spec in full}) == seeds
        assert all(spec["values"] == plan.chosen(optimizer, done) for spec in full)
    chosen_with = {entry["spec"]["seed"] for (stage, _), entry in done.items() if stage != "claim"}
    assert not chosen_with & {spec["seed"] for spec in claims}


def test_headline_numbers() -> None:
    """THOR passes the baseline's end half-way through with every seed: a ratio of 1/2, and significance."""
    done = rehearsed(("mini", "claim", "seconds"))
    found = summary.headline(done, summary.step_times(done))
    assert found is not None and found["baseline"] == "adamw" and found["seeds"] == 5
    assert found["target"] == pytest.approx(0.203, rel=1e-9)
    assert found["steps_ratio"] == pytest.approx(0.5, abs=0.01)
    assert found["p_value"] < 1e-6 and found["seconds_are_noisy"] is False
    assert (
        found["reached_by_thor"] == 5
        and not found["ratios_are_lower_bounds"]
        and found["spread"]["muon"]["reached"] == 0
    )
    steps = plan.STEPS["claim"]
    half, whole = (5.0 + 0.1 * (n - 2) + 0.2 * (n // 10 - 1) for n in (steps // 2, steps))
    assert found["seconds_ratio"] == pytest.approx(half / whole, abs=0.01)


def test_thor_against_every_baseline() -> None:
    """THOR at a quarter of its steps is where the weaker ones end."""
    done = rehearsed(("mini", "claim"))
    found = summary.against("muon", done, {})
    assert found is not None and found["target"] == pytest.approx(0.102, rel=1e-9)
    assert (found["seeds"], found["reached_by_thor"]) == (3, 5)
    assert found["steps_ratio"] == pytest.approx(0.25, abs=0.01)
    assert summary.against("muon", rehearsed(("mini",)), {}) is None
    ends = summary.ends(done)
    assert ends["thor"]["mean"] == pytest.approx(0.403) and ends["thor"]["deviation"] == pytest.approx(
        0.00158, rel=0.01
    )
    assert ends["sgd"]["seeds"] == 3
    for (stage, _), entry in done.items():
        if stage == "claim" and entry["spec"]["optimizer"] == "thor" and entry["spec"]["seed"] == 2:
            entry["test"] = entry["test"][:1]  # this run broke at a quarter, just below
    missed = summary.against("muon", done, {})
    assert missed is not None and missed["reached_by_thor"] == 4 and missed["ratios_are_lower_bounds"]


def test_longer_runs_of_thor_stand_beside_the_best_baselines_end() -> None:
    """Alone THOR runs longer, with the seeds of the claim; here it ends above the baseline with every seed."""
    done = rehearsed(("mini", "claim", "longer", "seconds"))
    specs = [entry["spec"] for (stage, _), entry in done.items() if stage == "longer"]
    assert {spec["optimizer"] for spec in specs} == {"thor"} and {spec["seed"] for spec in specs} == {1, 2, 3, 4, 5}
    assert {spec["steps"] for spec in specs} == {plan.STEPS["longer"]}
    found = summary.longer(done, summary.step_times(done))
    assert found is not None and found["baseline"] == "adamw" and found["steps_ratio"] == 1.2
    assert found["thor_end"]["mean"] == pytest.approx(0.403) and found["baseline_end"]["mean"] == pytest.approx(0.203)
    assert found["reached_by_thor"] == found["thor_end"]["seeds"] == 5 and found["p_value"] < 1e-6
    long, short = (5.0 + 0.1 * (n - 2) + 0.2 * (n // 10 - 1) for n in (plan.STEPS["longer"], plan.STEPS["claim"]))
    assert found["seconds_ratio"] == pytest.approx(long / short, rel=1e-9)
    assert found["seconds_are_noisy"] is False
    json.dumps(found)
    broken = next(entry for (stage, _), entry in done.items() if stage == "longer")
    broken["test"] = []  # counts as an accuracy of 0 instead of being left out
    after = summary.longer(done, {})
    assert after is not None and after["thor_end"]["mean"] == pytest.approx(0.403 - 0.401 / 5, abs=1e-3)
    assert (after["reached_by_thor"], after["seconds_ratio"], after["seconds_are_noisy"]) == (4, None, None)
    assert summary.longer(rehearsed(("mini", "claim")), {}) is None


def test_no_seconds_before_they_are_measured() -> None:
    done = rehearsed(("mini", "claim"))
    found = summary.headline(done, summary.step_times(done))
    assert found is not None and found["seconds_ratio"] is None
    assert all(entry["seconds"] is None for entries in found["to_target"].values() for entry in entries)


def test_mean_step_counts_every_refresh() -> None:
    times = summary.step_times(rehearsed(("mini", "claim", "seconds")))
    assert set(times) == set(contenders.CONTENDERS) - set(contenders.PUBLISHED)
    assert times["thor"]["mean"] == pytest.approx(0.12, rel=1e-9) and times["thor"]["rounds"] == plan.ROUNDS
    assert times["thor"]["second_order_share"] == pytest.approx((0.005 + 0.1 * (0.03 + 0.04)) / 0.12, rel=1e-9)
    assert "second_order_share" not in times["adamw"]
    assert times["thor"]["mean_by_adamw"] == 1 and times["thor"]["spread"] == 0


def test_cost_of_a_run_that_misses_the_target_is_its_whole_budget() -> None:
    spec = plan.Spec("claim", "adamw", {}, 4000, 3)
    missed = summary.cost(result(spec, 1.0, (0.1, 0.2)), 0.3)
    assert (missed["steps"], missed["reached"], missed["seed"]) == (4000, False, 3)
    reached = summary.cost(result(spec, 1.0, (0.1, 0.2)), 0.15)
    assert (reached["steps"], reached["samples"], reached["reached"]) == (3000, 48000, True)
    broken = result(spec, 1.0, (0.1, 0.2))
    broken["test"] = broken["test"][:1]
    assert summary.cost(broken, 0.15)["steps"] == 4000
    nothing = summary.cost({**broken, "test": []}, 0.15)
    assert (nothing["steps"], nothing["seconds"], nothing["reached"]) == (4000, None, False)


def test_variants_change_one_value_of_thor() -> None:
    results = played("variants", played("tiny", []))
    specs = [entry["spec"] for entry in results if entry["spec"]["stage"] == "variants"]
    assert len(specs) == len({spec["key"] for spec in specs}) == plan.SEEDS["variants"] * len(plan.VARIANTS)
    base = plan.tuned(contenders.HEADLINE, plan.by_key(results))
    for changed in plan.VARIANTS:
        assert len(changed) <= 1 and (not changed or changed != {name: base.get(name) for name in changed})
        replace(preset(contenders.HEADLINE), **{**base, **changed}).check()
    found = summary.variants(plan.by_key(results))
    assert [entry["changed"] for entry in found] == list(plan.VARIANTS) and {entry["seeds"] for entry in found} == {2}


def test_a_stage_asks_for_the_one_before(tmp_path: Path) -> None:
    """It would run what unfinished results decide."""
    command = [sys.executable, "-m", "bench.convergence", "--work", str(tmp_path / "work"), "--stage", "mini"]
    done = subprocess.run(command, env=elsewhere({}), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr == "error: stage mini needs stage tiny, which is not complete: run that first\n"


def test_partial_results_are_called_partial(tmp_path: Path) -> None:
    first = plan.next_specs("tiny", [])[0]
    summary.summarise([result(first, 1.0)], tmp_path, {})
    text = (tmp_path / "convergence.json").read_text()
    assert '"tiny": "partial: 1 runs"' in text and '"mini": "not started' in text and '"headline": null' in text


def test_stored_runs_are_taken_as_done_where_the_texts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine goes on where one stopped: what it sums up is what the first one did."""
    for size in splits.SIZES:
        monkeypatch.setitem(splits.SIZES, size, splits.Size(200, 32))
    results = played("mini", played("tiny", []))[:-3]
    source, work = tmp_path / "source.txt", tmp_path / "work"
    source.write_text("\n\n".join(f"document {k} has words\nand sentence two of number {k}" for k in range(400)))
    for size in splits.SIZES:
        splits.prepare_splits(work, size, [str(source)])
    summary.summarise(results, tmp_path, splits.checksums(work))
    stored_file = tmp_path / "convergence.json"
    before = json.loads(stored_file.read_text())
    assert stored.restore(stored_file, work, [str(source)]) == len(results)
    assert stored.restore(stored_file, work, [str(source)]) == 0
    found = [json.loads(path.read_text()) for path in sorted(work.glob("runs-*/*.json"))]
    assert [spec.key for spec in plan.next_specs("mini", found)] == [
        spec.key for spec in plan.next_specs("mini", results)
    ]
    summary.summarise(found, tmp_path, splits.checksums(work))
    assert json.loads(stored_file.read_text()) == before
    other = tmp_path / "other.txt"
    other.write_text(source.read_text().replace("words", "others"))
    with pytest.raises(SystemExit, match=r"convergence.json were made with other texts \(tiny, mini\)"):
        stored.restore(stored_file, tmp_path / "elsewhere", [str(other)])
    assert not list((tmp_path / "elsewhere").glob("runs-*"))


def test_no_test_document_is_trained_or_tuned_on(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    documents = [[f"document {k} has words", f"and sentence two of number {k}"] for k in range(400)]
    source.write_text("\n\n".join("\n".join(document) for document in documents), encoding="utf-8")
    splits._divide(tmp_path / "texts", [str(source)])
    main, test = ((tmp_path / "texts" / f"{name}.txt").read_text().strip().split("\n\n") for name in ("main", "test"))
    assert set(main) | set(test) == {"\n".join(document) for document in documents}
    assert not set(main) & set(test) and 5 <= len(test) <= 40
