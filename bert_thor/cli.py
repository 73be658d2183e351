"""The command `bert-thor`: its subcommands, and what becomes of a user's mistake."""

from __future__ import annotations

import atexit
import errno
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, NoReturn

from bert_thor import __version__
from bert_thor.command_line.names import check_command
from bert_thor.command_line.parse import parse
from bert_thor.errors import Interrupted, UsageError, UserError


@dataclass(frozen=True)
class Command:
    """One subcommand: what it is for and what runs it."""

    summary: str
    run: Callable[[Sequence[str]], int | None]
    """Takes the options; returns the exit status (None: 0)."""


def prepare(arguments: Sequence[str]) -> None:
    """Text to vocabulary and TFRecords."""
    from bert_thor.data.prepare import PrepareConfig, prepare

    prepare(parse(PrepareConfig, arguments, "prepare"))


def merge(arguments: Sequence[str]) -> None:
    """Shares of several machines to one data folder."""
    from bert_thor.data.prepare import MergeConfig, merge

    merge(parse(MergeConfig, arguments, "merge"))


def pretrain(arguments: Sequence[str]) -> None:
    """Train, from a recipe with any field changed."""
    from bert_thor.command_line.pretrain import asks_for_recipes, parse_run
    from bert_thor.recipes import recipe_list

    if asks_for_recipes(arguments):
        print(recipe_list())
        return
    config = parse_run(arguments)
    from bert_thor.convert.start import read_start

    if config.dry_run:
        from bert_thor.training.dry_run import dry_run

        print(dry_run(config, read_start))
        return
    from bert_thor.training.trainer import Trainer

    Trainer(config, read_start).run()


def evaluate(arguments: Sequence[str]) -> None:
    """Accuracy of checkpoints on held-out or other rows."""
    from bert_thor.training.evaluation import EvaluateConfig, evaluate, summary

    print(summary(evaluate(parse(EvaluateConfig, arguments, "evaluate"))[-1]))


def report(arguments: Sequence[str]) -> None:
    """Runs side by side."""
    from bert_thor.training.report import ReportConfig, report

    print(report(parse(ReportConfig, arguments, "report")))


def plan(arguments: Sequence[str]) -> None:
    """What a run needs on Ascend 910."""
    from bert_thor.planning.command import run_plan
    from bert_thor.planning.plan import PlanConfig

    run_plan(parse(PlanConfig, arguments, "plan"))


def ranktable(arguments: Sequence[str]) -> None:
    """Which process runs on which Ascend device."""
    from bert_thor.parallel.rank_table import RankTableConfig, rank_table

    rank_table(parse(RankTableConfig, arguments, "ranktable"))


def convert(arguments: Sequence[str]) -> None:
    """Between our checkpoints and those of others."""
    from bert_thor.convert.command import ConvertConfig, convert

    convert(parse(ConvertConfig, arguments, "convert"))


def doctor(arguments: Sequence[str]) -> int:
    """What this installation is made of, and whether its kernels compute what they should."""
    from bert_thor.doctor.examination import DoctorConfig, doctor

    report = doctor(parse(DoctorConfig, arguments, "doctor").run)
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
    if arguments[0] == "--version":
        print(f"bert-thor {__version__}")
        return 0
    try:
        check_command(arguments[0], COMMANDS)
    except UsageError as error:
        return _fail(str(error), 2)
    return run_command(COMMANDS[arguments[0]].run, arguments[1:])


def run_command(run: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """Run one program; a user's mistake is one sentence on stderr. Returns the exit status."""
    _print_what_can_be_printed()
    try:
        return run(arguments) or 0
    except UsageError as error:
        return _fail(str(error), 2)
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
    first = "usage: bert-thor COMMAND [OPTIONS]   (bert-thor COMMAND --help lists the options; bert-thor --version)"
    return "\n".join([first, *lines])


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
