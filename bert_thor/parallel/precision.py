"""The precision in which gradients are summed over ranks: 16 bits halve what travels, 1.3 GB per step of BERT-Large in float32."""

from __future__ import annotations

from typing import Optional

from bert_thor.errors import ConfigError
from bert_thor.precision import PRECISIONS


def exchange_precision(asked: Optional[str], scaled: bool, device_target: str) -> str:
    """The precision of the sums over ranks on `device_target` ("CPU" or "Ascend"); `scaled`: whether the loss has a scale.

    Unless another is asked for, float16 on an Ascend where gradients carry a loss scale, as they do in a run of precision float16; else
    float32, because the 8 bits of bfloat16 are few for a sum, and the processes of a CPU share their memory. Raises `ConfigError` with
    one sentence for a precision that is none, or in which these gradients cannot be summed.
    """
    if asked is None:
        return "float16" if scaled and device_target != "CPU" else "float32"
    if asked not in PRECISIONS:
        raise ConfigError(f"exchange_precision is {asked!r}: use one of {', '.join(PRECISIONS)}")
    from bert_thor.compat import sums_on_a_cpu

    if device_target == "CPU" and asked not in sums_on_a_cpu():
        raise ConfigError(
            f"exchange_precision is {asked}, which this MindSpore does not sum over processes of a CPU: use float32"
        )
    if asked == "float16" and not scaled:
        raise ConfigError(
            "exchange_precision is float16, but this run has no loss scale, without which small gradients are 0 in float16: use float32, "
            "or precision float16 and --loss-scale dynamic"
        )
    return asked
