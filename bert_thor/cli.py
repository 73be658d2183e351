"""The command `bert-thor`: prepare, merge, pretrain, evaluate, doctor."""

from __future__ import annotations

import argparse
import atexit
import errno
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NoReturn, TypeVar

import tyro

from bert_thor.errors import Interrupted, UserError

if TYPE_CHECKING:
    from bert_thor.recipes import PretrainConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """One subcommand: what it is for and what runs it."""

    summary: str
    run: Callable[[Sequence[str]], int | None]
    """Takes the options; returns the exit status (None: 0)."""


def prepare(arguments: Sequence[str]) -> None:
    """Text to vocabulary and TFRecords."""
    from bert_thor.data.prepare import PrepareConfig, prepare

    prepare(_parse(PrepareConfig, arguments, "prepare", None))


def merge(arguments: Sequence[str]) -> None:
    """Shares of several machines to one data folder."""
    from bert_thor.data.prepare import MergeConfig, merge

    merge(_parse(MergeConfig, arguments, "merge", None))


def pretrain(arguments: Sequence[str]) -> None:
    """Train, from a recipe with any field changed."""
    config = _parse_resumed(arguments) or parse_pretrain(arguments, "demo")
    from bert_thor.convert.start import read_start
    from bert_thor.training.trainer import Trainer

    Trainer(config, read_start).run()


def evaluate(arguments: Sequence[str]) -> None:
    """Accuracy of checkpoints on held-out or other rows."""
    from bert_thor.training.evaluation import EvaluateConfig, evaluate, summary

    print(summary(evaluate(_parse(EvaluateConfig, arguments, "evaluate", None))[-1]))


def report(arguments: Sequence[str]) -> None:
    """Runs side by side."""
    from bert_thor.training.report import ReportConfig, report

    print(report(_parse(ReportConfig, arguments, "report", None)))


def plan(arguments: Sequence[str]) -> None:
    """What a run needs on Ascend 910."""
    from bert_thor.planning.command import run_plan
    from bert_thor.planning.plan import PlanConfig

    run_plan(_parse(PlanConfig, arguments, "plan", None))


def ranktable(arguments: Sequence[str]) -> None:
    """Which process runs on which Ascend device."""
    from bert_thor.parallel.rank_table import RankTableConfig, rank_table

    rank_table(_parse(RankTableConfig, arguments, "ranktable", None))


def convert(arguments: Sequence[str]) -> None:
    """Between our checkpoints and those of others."""
    from bert_thor.convert.command import ConvertConfig, convert

    convert(_parse(ConvertConfig, arguments, "convert", None))


def doctor(arguments: Sequence[str]) -> int:
    """What this installation is made of, and whether its kernels compute what they should."""
    from bert_thor.doctor.examination import doctor

    parser = argparse.ArgumentParser(prog="bert-thor doctor", description=doctor.__doc__)
    parser.add_argument(
        "--run", type=Path, default=Path(), help="folder where runs will be written (its disk is looked at)"
    )
    report = doctor(parser.parse_args(list(arguments)).run)
    print(report.text())
    return 1 if report.problems else 0


COMMANDS = {
    "prepare": Command("turn text into a WordPiece vocabulary and sharded TFRecords", prepare),
    "merge": Command("make one data folder of the shares that several machines prepared", merge),
    "pretrain": Command("pretrain a BERT with THOR or a first-order optimizer", pretrain),
    "evaluate": Command("masked-LM and next-sentence accuracy on held-out or other rows", evaluate),
    "report": Command("loss and accuracy of runs against steps, samples and seconds", report),
    "plan": Command("memory, work, traffic and projected step time on Ascend 910", plan),
    "ranktable": Command("write or check the table of Ascend devices that train together", ranktable),
    "convert": Command("to and from Hugging Face, from TensorFlow checkpoints", convert),
    "doctor": Command(
        "check this installation: versions, processor, kernels; one block to paste into a report", doctor
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one sentence on stderr and a non-zero status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        print(f"error: unknown command {arguments[0]!r}; use one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return run_command(COMMANDS[arguments[0]].run, arguments[1:])


def run_command(run: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """Run one program; a user's mistake is one sentence on stderr. Returns the exit status."""
    _print_what_can_be_printed()
    try:
        return run(arguments) or 0
    except (
        UserError,
        ImportError,
    ) as error:  # ImportError: MindSpore or the compiled kernels are missing or broken, and it says which
        return _fail(str(error), 1)
    except Interrupted as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except MemoryError:
        return _fail(
            "not enough memory: use smaller sizes or a smaller batch, or cut it into micro-batches with --accumulate", 1
        )
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(
                f"no space left on the disk for {error.filename or 'the output'}: free space and run the command again",
                1,
            )
        return _fail(str(error), 1)


def parse_pretrain(
    arguments: Sequence[str],
    default_recipe: str,
    change: Callable[[PretrainConfig], PretrainConfig] = lambda recipe: recipe,
) -> PretrainConfig:
    """The run that `arguments` describe: a recipe's values after `change`, with every option that is given on top; checked."""
    from bert_thor.recipes import CONTINUE, PretrainConfig, recipe

    name, start = _value_of("--recipe", arguments) or default_recipe, _value_of("--start", arguments)
    default = recipe(name, _value_of("--optimizer", arguments))
    if name == CONTINUE and start is not None:
        from bert_thor.convert.start import read_sizes

        default = replace(default, model=read_sizes(Path(start)))
    config = _parse(PretrainConfig, arguments, "pretrain", change(default))
    config.check()
    return config


def _parse_resumed(arguments: Sequence[str]) -> PretrainConfig | None:
    """The run that `--resume` goes on with: its own options, with every one that is given on top; None where there is none."""
    from bert_thor.recipes import PretrainConfig
    from bert_thor.training.stored_config import read_pretrain_config

    run = Path(_value_of("--run", arguments) or PretrainConfig.run)
    resumes = "--resume" in arguments or _value_of("--resume-from", arguments) is not None
    if not resumes or not (run / "config.json").is_file():
        return None
    config = _parse(PretrainConfig, arguments, "pretrain", read_pretrain_config(run))
    config.check()
    return config


def _fail(sentence: str, status: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return status


def _print_what_can_be_printed() -> None:
    """A terminal that does not know a letter shows its number, which is better than an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _usage() -> str:
    lines = [f"  bert-thor {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: bert-thor COMMAND [OPTIONS]   (bert-thor COMMAND --help lists the options)", *lines])


def _parse(kind: type[T], arguments: Sequence[str], name: str, default: T | None) -> T:
    """Parse options into the dataclass `kind`; fields of nested dataclasses are options of their own, without a prefix."""
    plain = (tyro.conf.OmitArgPrefixes,)
    parsed: T = tyro.cli(kind, prog=f"bert-thor {name}", args=list(arguments), default=default, config=plain)  # type: ignore[arg-type,assignment]
    return parsed


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The value that `option` has at last: it chooses the defaults of all others, so it is needed before they are parsed."""
    found = None
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found = argument.split("=", 1)[1]
        elif argument == option and index + 1 < len(arguments):
            found = arguments[index + 1]
    return found


def end_process(status: int) -> NoReturn:
    """Exit with `status`."""
    end_before_mindspore(status)
    sys.exit(status)


def end_before_mindspore(status: int) -> None:
    """Where MindSpore is loaded, exit before its libraries take themselves apart: now and then they crash then, after a good run."""
    if "mindspore" not in sys.modules:
        return
    atexit._run_exitfuncs()  # leaves the cluster, among others
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by who started us
            stream.flush()
    os._exit(status)


def console() -> NoReturn:
    """Entry point of the command."""
    end_process(main())


if __name__ == "__main__":
    console()
