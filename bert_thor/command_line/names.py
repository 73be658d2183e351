"""Names that are not ours: a slip of the finger gets the nearest one, a name that people know from elsewhere gets what it is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bert_thor.command_line.options import Option
from bert_thor.errors import UsageError, did_you_mean


def _called(ours: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, f"it is called {ours} here")


_STEPS = (
    "runs are counted in steps here: --steps N is N updates of the weights, and a pass over the data has "
    "as many as it has rows, divided by --batch-size"
)
_BATCH = "--batch-size counts the sequences of a step over all processes, and --accumulate cuts them into micro-batches"
_LENGTH = (
    "rows are as long as `bert-thor prepare --max-seq-length` made them; --max-position is the longest that the network "
    "takes, by default the data's"
)
_PRECISION = "it is --precision {} here"

KNOWN_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "pretrain": {
        **dict.fromkeys(("--epochs", "--num-epochs", "--num-train-epochs", "--max-epochs", "--epoch-size"), _STEPS),
        **_called("--steps", "--max-steps", "--num-steps", "--train-steps", "--num-train-steps", "--total-steps"),
        **_called("--steps", "--max-train-steps", "--max-updates", "--iterations", "--train-iters"),
        **_called("--learning-rate", "--lr", "--peak-lr", "--base-lr", "--max-lr"),
        **_called("--learning-rate-end", "--min-lr", "--end-lr"),
        **_called("--batch-size", "--train-batch-size", "--global-batch-size", "--total-train-batch-size"),
        **dict.fromkeys(
            ("--per-device-train-batch-size", "--per-gpu-train-batch-size", "--micro-batch-size", "--local-batch-size"),
            _BATCH,
        ),
        **dict.fromkeys(
            ("--gradient-accumulation-steps", "--accumulation-steps", "--grad-accum", "--accumulate-grad-batches"),
            "--accumulate N cuts a step's --batch-size into N micro-batches here; it does not multiply it",
        ),
        **dict.fromkeys(("--fp16", "--half", "--use-fp16"), _PRECISION.format("float16")),
        **dict.fromkeys(("--bf16", "--use-bf16"), _PRECISION.format("bfloat16")),
        **dict.fromkeys(("--fp32", "--no-amp"), _PRECISION.format("float32")),
        **dict.fromkeys(
            ("--amp", "--mixed-precision", "--dtype", "--torch-dtype"), _PRECISION.format("float16 or bfloat16")
        ),
        **dict.fromkeys(
            ("--seq-length", "--seq-len", "--max-seq-length", "--max-seq-len", "--max-length", "--sequence-length"),
            _LENGTH,
        ),
        **_called(
            "--run", "--output-dir", "--output", "--out", "--save-dir", "--checkpoint-dir", "--log-dir", "--work-dir"
        ),
        **_called("--data", "--data-dir", "--data-path", "--dataset", "--input-file", "--input-files", "--input-dir"),
        **_called("--data", "--train-file", "--train-data", "--train-files"),
        **_called("--schema", "--schema-dir", "--schema-file"),
        **_called("--eval-data", "--eval-file", "--eval-dir", "--validation-file", "--validation-data", "--test-data"),
        **dict.fromkeys(
            ("--eval-steps", "--eval-interval", "--eval-every"),
            "--evaluation-interval counts samples here, not steps",
        ),
        **_called("--evaluation-rows", "--max-eval-samples", "--num-eval-examples"),
        **dict.fromkeys(
            ("--warmup-steps", "--num-warmup-steps", "--lr-warmup-steps", "--warmup-iters"),
            "--warmup is the part of the steps over which the rates grow, such as 0.06",
        ),
        **_called("--warmup", "--warmup-ratio", "--warmup-proportion", "--warmup-fraction"),
        **_called("--weight-decay", "--wd", "--l2", "--weight-decay-rate", "--adam-weight-decay"),
        **_called("--optimizer", "--optim", "--opt", "--optimizer-type"),
        **_called("--beta1", "--adam-beta1", "--adam-beta-1"),
        **_called("--beta2", "--adam-beta2", "--adam-beta-2"),
        **_called("--epsilon", "--adam-epsilon", "--eps", "--adam-eps"),
        **_called("--clip-norm", "--max-grad-norm", "--clip-grad", "--grad-clip", "--gradient-clip-val", "--clip"),
        **_called("--loss-scale", "--enable-lossscale", "--init-loss-scale", "--initial-loss-scale"),
        **_called(
            "--checkpoint-interval", "--save-steps", "--save-interval", "--save-every", "--save-checkpoints-steps"
        ),
        **_called("--checkpoint-interval", "--save-checkpoint-steps", "--num-steps-per-checkpoint"),
        **_called("--keep-checkpoints", "--save-total-limit", "--keep-checkpoint-max", "--save-checkpoint-num"),
        **_called("--log-interval", "--logging-steps", "--log-steps", "--log-every", "--log-freq", "--print-freq"),
        **_called("--keep-best", "--load-best-model-at-end", "--save-best", "--keep-best-checkpoint"),
        **_called("--early-stop", "--early-stopping-patience", "--patience", "--early-stopping"),
        **_called("--tensorboard", "--report-to", "--tensorboard-dir", "--use-tensorboard"),
        **_called("--resume or --resume-from STEP", "--resume-from-checkpoint", "--continue", "--auto-resume"),
        **_called("--resume-from", "--resume-step", "--from-step"),
        **_called("--start", "--init-checkpoint", "--init-from", "--load", "--load-checkpoint-path", "--pretrained"),
        **_called("--start", "--model-name-or-path", "--checkpoint", "--finetune-ckpt", "--from-pretrained"),
        **_called("--recipe", "--model", "--model-type", "--model-size", "--preset", "--arch"),
        **_called("--config", "--config-file", "--config-name", "--bert-config-file", "--cfg"),
        **_called("--hidden-size", "--hidden-dim", "--d-model", "--embed-dim", "--n-embd"),
        **_called("--num-layers", "--num-hidden-layers", "--n-layers", "--n-layer", "--layers", "--depth"),
        **_called("--num-heads", "--num-attention-heads", "--n-heads", "--n-head", "--heads"),
        **_called("--intermediate-size", "--ffn-hidden-size", "--d-ff", "--ffn-dim"),
        **_called("--max-position", "--max-position-embeddings", "--n-positions"),
        **_called("--hidden-dropout", "--dropout", "--hidden-dropout-prob"),
        **_called("--attention-dropout", "--attention-probs-dropout-prob", "--attention-dropout-prob"),
        **_called("--vocab-size", "--padded-vocab-size"),
        **_called("--seed", "--random-seed", "--manual-seed"),
        **_called("--prefetch", "--num-workers", "--dataloader-num-workers", "--workers"),
        **_called("--no-shuffle, where the order of the files is wanted", "--do-shuffle", "--disable-shuffle"),
        **_called("--device-target", "--device", "--backend", "--accelerator"),
        **dict.fromkeys(
            ("--gpus", "--num-gpus", "--nproc-per-node", "--devices", "--device-num", "--distribute", "--world-size"),
            "processes are started by `msrun --worker_num=N` or by scripts/run_distribute_pretrain.sh",
        ),
    },
    "prepare": {
        **_called(
            "--source", "--input", "--inputs", "--input-file", "--input-files", "--input-dir", "--corpus", "--text"
        ),
        **_called("--source", "--data", "--data-dir", "--dataset", "--train-file", "--files"),
        **_called("--output", "--output-dir", "--output-file", "--out", "--out-dir", "--save-dir", "--output-prefix"),
        **_called("--vocab-file", "--vocab", "--vocabulary", "--vocab-path", "--tokenizer"),
        **_called("--max-seq-length", "--seq-length", "--seq-len", "--max-seq-len", "--max-length", "--block-size"),
        **_called("--max-seq-length", "--sequence-length", "--max-position"),
        **_called("--max-predictions-per-seq", "--max-predictions", "--max-predictions-per-sequence"),
        **_called("--masked-lm-prob", "--mlm-probability", "--mlm-prob", "--mask-prob", "--masking-probability"),
        **_called("--dupe-factor", "--dup-factor", "--duplicate-factor", "--num-dupes"),
        **_called("--whole-word-mask", "--do-whole-word-mask", "--wwm", "--whole-word-masking"),
        **_called("--seed", "--random-seed"),
        **_called("--workers", "--num-workers", "--processes", "--num-proc", "--n-processes", "--threads", "--jobs"),
        **_called("--shards", "--num-shards", "--n-shards", "--num-output-files"),
        **_called("--held-out-fraction", "--eval-fraction", "--validation-split", "--val-split", "--test-size"),
        **dict.fromkeys(
            ("--do-lower-case", "--lowercase", "--lower-case", "--uncased"),
            "text is lower-cased unless --cased is given",
        ),
    },
    "evaluate": {
        **_called("--run", "--output-dir", "--model", "--model-name-or-path", "--load-checkpoint-path"),
        **_called("--run", "--finetune-ckpt", "--init-checkpoint", "--checkpoint-dir"),
        **_called("--eval-data", "--eval-file", "--validation-file", "--test-data", "--input-file", "--data-file"),
        **_called("--batch-size", "--eval-batch-size", "--per-device-eval-batch-size"),
        **dict.fromkeys(("--fp16", "--half"), _PRECISION.format("float16")),
        **dict.fromkeys(("--bf16",), _PRECISION.format("bfloat16")),
        **_called("--device-target", "--device"),
    },
    "convert": {
        **_called("--from", "--input", "--source", "--model", "--run", "--input-dir"),
        **_called("--from", "--tf-checkpoint-path", "--model-name-or-path"),
        **_called("--to", "--output", "--output-dir", "--out", "--pytorch-dump-path", "--save-dir"),
        **_called("--vocabulary", "--vocab", "--vocab-file"),
    },
}
"""Options of other trainers and converters, by command, and where they are to be found here. None of them is accepted."""

COMMANDS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("train", "fit", "run", "finetune", "fine-tune", "run-pretrain"), "pretrain"),
    **dict.fromkeys(("eval", "test", "validate", "pretrain-eval"), "evaluate"),
    **dict.fromkeys(("export", "import", "save"), "convert"),
    **dict.fromkeys(("preprocess", "tokenize", "data", "create-pretraining-data"), "prepare"),
    **dict.fromkeys(("info", "env", "check", "selftest", "self-test"), "doctor"),
    **dict.fromkeys(("compare", "plot"), "report"),
    **dict.fromkeys(("help",), "--help"),
    **dict.fromkeys(("version", "-v", "-V"), "--version"),
}
"""What others call our commands."""


def check_command(name: str, commands: Iterable[str]) -> None:
    """Raise `UsageError` unless there is a command of this name."""
    known = tuple(commands)
    if name not in known:
        ours = COMMANDS_ELSEWHERE.get(name.replace("_", "-"))
        hint = f"; it is called {ours} here" if ours else did_you_mean(name, known)
        raise UsageError(f"unknown command {name!r}; use one of {', '.join(known)}{hint}")


def check_options(command: str, arguments: Sequence[str], options: Sequence[Option]) -> None:
    """Raise `UsageError` for the first of the arguments that is the name of an option which `command` does not have."""
    known = [spelling for option in options for spelling in option.spellings]
    for argument in arguments:
        name = plain_name(argument)
        if name.startswith("-") and name not in known and not _is_number(name):
            said = argument.split("=", 1)[0]
            raise UsageError(f"bert-thor {command} has no option {said}{_hint(command, name, known)}")


def plain_name(argument: str) -> str:
    """--learning_rate=1e-3 as --learning-rate; another argument as it is."""
    return argument.split("=", 1)[0].replace("_", "-") if argument.startswith("-") else argument


def _hint(command: str, name: str, known: Sequence[str]) -> str:
    spelled = name if name.startswith("--") else f"-{name}"
    elsewhere = KNOWN_ELSEWHERE.get(command, {}).get(spelled.lower())
    if elsewhere is not None:
        return f": {elsewhere}"
    return did_you_mean(spelled, known) or f"; bert-thor {command} --help lists them"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
