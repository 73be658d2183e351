"""`bert-thor plan`."""

from __future__ import annotations

from bert_thor.files import write_json
from bert_thor.planning.plan import PlanConfig, as_json, make_plan
from bert_thor.planning.text import describe


def run_plan(config: PlanConfig) -> None:
    """Print the plan, and write it as JSON if asked to."""
    plan = make_plan(config)
    print(describe(plan))
    if config.output is not None:
        write_json(config.output, as_json(plan))
