"""Whole steps of training.

    python -m bench.steps encoder       forward and backward of an encoder beside PyTorch's, in float32 and bfloat16
    python -m bench.steps thor          a whole step of BERT-Base with THOR beside PyTorch's AdamW
    python -m bench.steps memory        what the activations of BERT-Base take, in bfloat16 and in float32
    python -m bench.steps bert-large    one optimizer step of BERT-Large with THOR
    python -m bench.steps scaling       what a step costs against processes, threads, depth and width

`--help` after the name says what each takes.
"""

from __future__ import annotations

import sys

from bench.steps import activation_memory, bert_large_step, encoder_step, scaling, thor_step

PROGRAMS = {
    "encoder": encoder_step.main,
    "thor": thor_step.main,
    "memory": activation_memory.main,
    "bert-large": bert_large_step.main,
    "scaling": scaling.main,
}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
    elif not arguments or arguments[0] not in PROGRAMS:
        given = f"{arguments[0]} is no step" if arguments else "no step is named"
        sys.exit(f"error: {given}: use python -m bench.steps with one of {', '.join(PROGRAMS)}")
    else:
        PROGRAMS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    main()
