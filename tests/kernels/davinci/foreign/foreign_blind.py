"""A blind sample of public kernels: ``python foreign_blind.py OWNER/NAME=FOLDER ...`` lists it.

The rule, fixed before any of these kernels was run: of all Python files of the repositories that make a ``tik.Tik``, in the
order of the SHA-256 of OWNER/NAME/PATH, each one counts that

* has a function with its own file's name, so is an operator and not a helper,
* is for shapes known when it is compiled: no tiling tensor in global memory, no folder ``dynamic``,
* is for the first generation: no profile v200, no instruction that Ascend 910 does not have.

One that counts is right when its result is NumPy's, at a small shape, without an option.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from bert_thor.kernels.davinci.instructions.composite import NOT_ON_ASCEND_910

LATER = re.compile(rf'Dprofile\("v2|\.({"|".join(NOT_ON_ASCEND_910)})\(')


def reason(path: str, text: str) -> str:
    """Why a file does not count; empty when it does."""
    if not re.search(rf"^def {Path(path).stem}\(", text, re.MULTILINE):
        return "no operator of its own"
    if "tiling_gm" in text or "/dynamic/" in path:
        return "for any shape"
    return "for a later generation" if LATER.search(text) else ""


def sample(repositories: list[tuple[str, Path]]) -> list[tuple[str, str]]:
    """Paths in the order of their hashes, and why one does not count."""
    found = []
    for name, folder in repositories:
        for file in folder.rglob("*.py"):
            text = file.read_text(errors="replace")
            if re.search(r"tik\.Tik\(", text):
                found.append((f"{name}/{file.relative_to(folder).as_posix()}", text))
    found.sort(key=lambda item: hashlib.sha256(item[0].encode()).hexdigest())
    return [(path, reason(path, text)) for path, text in found]


def main(arguments: list[str]) -> None:
    """Print the sample, numbered."""
    number = 0
    for path, why in sample([(name, Path(folder)) for name, _, folder in (a.partition("=") for a in arguments)]):
        number += not why
        print(f"{why or number:>24}  {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
