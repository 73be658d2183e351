"""The block of text that `bert-thor doctor` prints."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """Lines of the block, and the problems found while they were made."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def line(self, name: str, *values: object) -> None:
        """Add `name  value, value`."""
        self.lines.append(f"{name:<18}{', '.join(str(value) for value in values)}")

    def problem(self, sentence: str) -> None:
        """Add something that is wrong, with what to do."""
        self.problems.append(sentence)

    def text(self) -> str:
        """The whole block."""
        if not self.problems:
            return "\n".join([*self.lines, "verdict           all well"])
        numbered = [f"  {number}. {problem}" for number, problem in enumerate(self.problems, 1)]
        return "\n".join([*self.lines, f"verdict           {len(self.problems)} to fix:", *numbered])
