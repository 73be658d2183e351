"""How fast text becomes rows, and what 20 GB of it would need.

    python -m bench.preparation                                    # every row of docs/data.md's tables, about 7 minutes on 2 CPUs
    python -m bench.preparation --megabytes 50 --dupe-factors 1    # fewer

The text is the built-in corpus, repeated up to the size, with one word in ten exchanged for another one of the corpus and one in 400
spelled in a new way, so that no pass is like the other and words of all frequencies are many. `bert-thor prepare` runs in a process of its
own: seconds are by the clock, processor time and the largest process of all that it started are the system's account of them. The
vocabulary's row is the difference between a run that trains it and one that is given it. Both tables are printed as they stand in
docs/data.md, the second computed from the first.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import string
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Optional

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "preparation"
PIECES, LENGTH = 30522, 128
EXCHANGED, NEWLY_SPELLED = 1 / 10, 1 / 400
PART = 16e6  # bytes of text in a part of a large file, as docs/data.md says


@dataclass(frozen=True)
class Cost:
    """What one preparation took."""

    text: int
    """Bytes of text."""
    dupe_factor: int
    seconds: float
    processor: float
    """Seconds of all processes."""
    largest: int
    """Bytes of the process that needed most."""
    rows: int
    """Bytes of the rows that it wrote."""

    def line(self, workers: int) -> str:
        """A row of the first table."""
        rate, possible = self.text / self.seconds / 1e6, self.text / self.processor * workers / 1e6
        dupes = f", `--dupe-factor {self.dupe_factor}`" if self.dupe_factor > 1 else ""
        return (
            f"| {self.text / 1e6:.0f} MB, vocabulary given{dupes} | {self.seconds:.1f} s | {rate:.2f} MB/s "
            f"| {self.processor:.1f} s | {possible:.2f} MB/s | {self.largest / 1e6:.0f} MB |"
        )


def main() -> None:
    """Make the texts, prepare them, print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.preparation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 150], help="sizes of the text")
    parser.add_argument("--dupe-factors", type=int, nargs="+", default=[1, 10], help="passes over the text")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of each preparation")
    options = parser.parse_args()
    sizes = sorted(options.megabytes)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    with ProcessPoolExecutor(1) as pool:  # its memory is not this process's, of which the measured ones begin as copies
        texts = [pool.submit(write_text, WORK / f"{size}.txt", size * 1_000_000).result() for size in sizes]
    trained = prepare(texts[-1], 1, options.workers, None)
    words = WORK / "vocab.txt"
    shutil.copy(WORK / "data" / "vocab.txt", words)
    costs = [prepare(text, dupes, options.workers, words) for dupes in options.dupe_factors for text in texts]
    print(
        "| work | time | rate | processor time | rate if it had all CPUs | largest process |\n|---|---|---|---|---|---|"
    )
    print("\n".join(cost.line(options.workers) for cost in costs))
    given = next(cost for cost in costs if cost.text == trained.text and cost.dupe_factor == options.dupe_factors[0])
    if given.dupe_factor == 1:
        print(vocabulary_line(trained, given))
    print(needs([cost for cost in costs if cost.text == trained.text], trained))


def write_text(path: Path, size: int) -> Path:
    """Write `size` bytes of text in BERT's form: a sentence per line, an empty line after each document."""
    from bert_thor.data.text.docstrings import docstring_documents

    with ProcessPoolExecutor() as pool:
        documents = list(docstring_documents(pool))
    known = [word for document in documents for sentence in document for word in sentence.split()]
    generator = random.Random(12345)
    written = 0
    with open(path, "wb") as file:
        for line in _lines(documents, known, generator):
            content = f"{line}\n".encode()
            written += file.write(content)
            if written >= size:
                return path
    raise AssertionError("the lines end nowhere")


def _lines(documents: list[list[str]], known: list[str], generator: random.Random) -> Iterator[str]:
    while True:
        for document in documents:
            for sentence in document:
                yield " ".join(_changed(word, known, generator) for word in sentence.split())
            yield ""


def _changed(word: str, known: list[str], generator: random.Random) -> str:
    number = generator.random()
    if number < NEWLY_SPELLED:
        place = generator.randrange(len(word))
        return word[:place] + generator.choice(string.ascii_lowercase) + word[place + 1 :]
    return known[generator.randrange(len(known))] if number < NEWLY_SPELLED + EXCHANGED else word


def prepare(text: Path, dupe_factor: int, workers: int, vocabulary: Optional[Path]) -> Cost:
    """Run the command on one file of text."""
    output = WORK / "data"
    shutil.rmtree(output, ignore_errors=True)
    words = ["--vocab-size", str(PIECES)] if vocabulary is None else ["--vocab-file", str(vocabulary)]
    command = [sys.executable, "-m", "bert_thor.cli", "prepare", "--source", str(text), "--output", str(output)]
    command += [*words, "--max-seq-length", str(LENGTH), "--dupe-factor", str(dupe_factor), "--workers", str(workers)]
    print(f"# {' '.join(command[3:])}", file=sys.stderr, flush=True)
    started = perf_counter()
    _, status, used = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
    seconds = perf_counter() - started
    if status:
        raise SystemExit(f"error: {' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    rows = sum(file.stat().st_size for file in output.rglob("*.tfrecord"))
    return Cost(text.stat().st_size, dupe_factor, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, rows)


def vocabulary_line(trained: Cost, given: Cost) -> str:
    """What training the vocabulary takes beside the rows."""
    return (
        f"| vocabulary of {PIECES:,} from {trained.text / 1e6:.0f} MB | {trained.seconds - given.seconds:.1f} s | "
        f"| {trained.processor - given.processor:.1f} s | | {trained.largest / 1e6:.0f} MB |"
    )


def needs(costs: list[Cost], trained: Cost, text: float = 20e9, processors: int = 16) -> str:
    """The second table: `text` bytes, by the costs of the largest text that was measured, each with its own dupe factor.

    Processor time and rows grow with the text. So does counting words for a vocabulary, and training on them less, so that both grow at
    most so. What lies on the disk meanwhile is one part's rows for each worker, whatever the text.
    """
    scale = text / trained.text
    rows = [f"{cost.processor * scale / 3600:.1f} h" for cost in costs]
    hours = [f"{cost.processor * scale / 3600 / processors:.1f}" for cost in costs]
    disk = [f"{cost.rows * scale / 1e9:.0f} GB" for cost in costs]
    meanwhile = [f"{cost.rows / cost.text * PART / 1e6:.0f} MB per worker" for cost in costs]
    memory = [f"{cost.largest / 1e9:.2f} GB per process" for cost in costs]
    lines = [["", *(f"dupe factor {cost.dupe_factor}" for cost in costs)], ["---"] * (len(costs) + 1)]
    words = (trained.processor - costs[0].processor) * scale / 3600
    lines += [["processor time for the rows", *rows]]
    lines += [["processor time for a vocabulary, at most"] + [f"{words:.1f} h"] * len(costs)] * (words > 0)
    lines += [[f"hours of {processors} CPUs for the rows", *hours], ["memory", *memory]]
    lines += [["disk for the rows", *disk], ["disk meanwhile", *meanwhile]]
    return f"\n{text / 1e9:.0f} GB of text:\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
