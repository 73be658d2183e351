"""What `--help` prints: the options in groups, those that matter first."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from bert_thor.command_line.options import Option

GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pretrain": {
        "what most runs set": (
            *("--data", "--run", "--recipe", "--config", "--start", "--steps", "--batch-size", "--optimizer"),
            *("--learning-rate", "--resume"),
        ),
        "data": ("--schema", "--shuffle", "--skip-damaged", "--prefetch", "--seed"),
        "evaluation while training": (
            *("--evaluation-interval", "--eval-data", "--evaluation-rows", "--keep-best", "--early-stop"),
        ),
        "checkpoints and log": (
            *("--checkpoint-interval", "--keep-checkpoints", "--resume-from", "--log", "--log-interval"),
            *("--tensorboard", "--dry-run"),
        ),
        "precision, memory and machine": (
            *("--precision", "--accumulate", "--device-target", "--exchange-precision", "--checksum-interval"),
            "--compile-cache",
        ),
        "sizes of the network": (
            *("--vocab-size", "--max-position", "--hidden-size", "--num-layers", "--num-heads", "--intermediate-size"),
            *("--type-vocab-size", "--hidden-dropout", "--attention-dropout", "--initializer-range"),
            "--layer-norm-eps",
        ),
        "the optimizer, whatever it is": (
            *("--warmup", "--learning-rate-end", "--learning-rate-power", "--horizon", "--weight-decay", "--clip-norm"),
            *("--first-order", "--first-order-learning-rate", "--loss-scale", "--loss-scale-window"),
        ),
        "the optimizer, one or the other": (),
    },
    "prepare": {
        "what most preparations set": (
            *("--source", "--output", "--vocab-file", "--vocab-size", "--cased", "--max-seq-length", "--dupe-factor"),
            *("--held-out-fraction", "--seed", "--workers"),
        ),
        "form of the text": ("--prose", "--text-field"),
        "rows": (
            *("--max-predictions-per-seq", "--masked-lm-prob", "--whole-word-mask", "--short-seq-prob", "--pack"),
        ),
        "files and machines": ("--shards", "--part"),
    },
}
"""Options of the commands that have many, by what they are about; those that are in no group stand in the last one."""

_LEFT, _WIDEST = 32, 120


def help_text(command: str, purpose: str, options: Sequence[Option], epilog: str = "") -> str:
    """The help of `bert-thor COMMAND`; `epilog` stands at its end."""
    words = "".join(f" {option.name}" for option in options if not option.name.startswith("--"))
    lines = [f"usage: bert-thor {command} [--help] [OPTIONS]{words}", "", _filled(" ".join(purpose.split()), 0)]
    for title, members in _grouped(command, options):
        lines += ["", f"{title}:", *map(_described, members)]
    return "\n".join([*lines, *(["", epilog] if epilog else [])])


def _grouped(command: str, options: Sequence[Option]) -> list[tuple[str, list[Option]]]:
    groups = GROUPS.get(command, {"options": ()})
    known = {option.name: option for option in options}
    found = [(title, [known.pop(name) for name in names if name in known]) for title, names in groups.items()]
    found[-1][1].extend(known.values())
    return [(title, members) for title, members in found if members]


def _described(option: Option) -> str:
    """Name on the left, explanation on the right."""
    left = f"  {' or '.join(option.spellings)} {option.takes}".rstrip()
    right = _filled(f"{option.explanation} {_default(option)}".strip(), _LEFT)
    if len(left) > _LEFT - 2:
        return f"{left}\n{right}"
    return f"{left}{right[len(left) :]}"


def _filled(text: str, indent: int) -> str:
    width = max(_LEFT + 20, min(shutil.get_terminal_size((100, 24)).columns, _WIDEST))
    margin = " " * indent
    return textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)


def _default(option: Option) -> str:
    value = option.default
    if option.required:
        return "(required)"
    if option.is_switch:
        return "(default: yes)" if value else "(default: no)"
    if value is None or value in ((), ""):
        return ""
    return f"(default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
