"""The precision in which gradients are summed over ranks: 16 bits halve what travels, 1.3 GB per step of BERT-Large in float32."""

from __future__ import annotations

from typing import Optional

from typing_extensions import Literal

from bert_thor.errors import ConfigError

Precision = Literal["float32", "float16", "bfloat16"]
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Of an element, by precision."""


def exchange_precision(asked: Optional[str], precision: str, device_target: str) -> str:
    """The precision of the sums over ranks in a run of `precision` on `device_target` ("CPU" or "Ascend").

    Unless another is asked for, float16 where an Ascend trains in float16, whose gradients carry a loss scale; else float32, because
    the 8 bits of bfloat16 are few for a sum, and a CPU's processes share their memory. Raises `ConfigError` with one sentence for a
    precision that is none, or in which these gradients cannot be summed.
    """
    if asked is None:
        return "float16" if precision == "float16" and device_target != "CPU" else "float32"
    if asked not in BYTES:
        raise ConfigError(f"exchange_precision is {asked!r}: use one of {', '.join(BYTES)}")
    if asked == "float16" and precision != "float16":
        raise ConfigError(
            f"exchange_precision is float16, but a run of precision {precision} has no loss scale, without which small gradients are 0 in "
            "float16: use float32, or precision float16"
        )
    from bert_thor.compat import sums_on_a_cpu

    if device_target == "CPU" and asked not in sums_on_a_cpu():
        raise ConfigError(
            f"exchange_precision is {asked}, which this MindSpore does not sum over processes of a CPU: use float32"
        )
    return asked
