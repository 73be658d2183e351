"""The operators of a compiled graph, from the text that MindSpore saves of it before a device chooses kernels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import mindspore as ms

import bert_thor

_NODE = re.compile(r"^  (%\d+)\(.*?\) = (?:Prim(?:Func)?_)?(\w+)\((.*)")
_NAME = re.compile(r"%(?:para\d+|\d+)")
_OPERATOR = re.compile(r"^  %\d+\(.*?\) = (?:Prim(?:Func)?_)?(\w+)\(")
_NO_KERNEL = ("Unsupported func type for Custom operator on CPU", "Unsupported op [NPUAllocFloatStatus] on CPU")
_NO_WORK = ("MakeTuple", "TupleGetItem", "Depend", "Load", "UpdateState", "Return")
_FUNCTION = re.compile(r'func_name: "(\w+)"')
_TYPES = re.compile(r"^      : \((.*)\) -> \((.*)\)$")
_FRAME = re.compile(r"^      # In file (.*?):\d+(?:~\d+)?(?:, \d+~\d+)?/ *(.*)/$")
_TENSOR = re.compile(r"Tensor\[(\w+)\](?:\*(\d+))?")
_OWN = str(Path(str(bert_thor.__file__)).parents[1])


class Frame(NamedTuple):
    """A place in the source that an operator comes from."""

    path: str
    text: str

    @property
    def is_own(self) -> bool:
        return self.path.startswith(_OWN) and "site-packages" not in self.path


class Operator(NamedTuple):
    """One operator: its name (of our own kernels, that of the function), the types of its tensors, and the calls that lead to it, the
    outermost first; MindSpore 2.0 keeps the innermost alone."""

    name: str
    inputs: list[str]
    outputs: list[str]
    frames: list[Frame]

    @property
    def floats(self) -> set[str]:
        """The floating-point types among those of the inputs."""
        return {kind for kind in self.inputs if "Float" in kind}

    @property
    def written(self) -> str:
        """The line of our own code that asks for it."""
        return next((frame.text for frame in reversed(self.frames) if frame.is_own), "")


class Node(NamedTuple):
    """Anything that a graph computes: its operator, the names of its arguments in their order, and the types of its tensors."""

    name: str
    arguments: list[str]
    kinds: set[str]


class Graph(dict[str, Node]):
    """All nodes of a graph by name, in an order in which they could be computed."""

    def named(self, name: str) -> list[str]:
        """The nodes of one operator."""
        return [place for place, node in self.items() if node.name == name]

    def needed_for(self, place: str) -> set[str]:
        """All names that have to be computed before this one can be."""
        found, waiting = set(), [place]
        while waiting:
            node = self.get(waiting.pop())
            new = set(node.arguments) - found if node else set()
            found |= new
            waiting += new
        return found


def operators(folder: Path, compile_graph: Callable[[], Any]) -> list[Operator]:
    """All operators of the one graph that `compile_graph` compiles; `folder` takes what MindSpore saves."""
    return list(_parse(_saved(folder, compile_graph)))


def graph_of(folder: Path, compile_graph: Callable[[], Any]) -> Graph:
    """The one graph that `compile_graph` compiles; `folder` takes what MindSpore saves."""
    lines = _saved(folder, compile_graph)
    nodes = Graph()
    for place, line in enumerate(lines):
        if found := _NODE.match(line):
            types = _TYPES.match(lines[place + 1])
            kinds = {*_kinds(types[1]), *_kinds(types[2])} if types else set()
            nodes[found[1]] = Node(found[2], _NAME.findall(found[3]), kinds)
    return nodes


def _saved(folder: Path, compile_graph: Callable[[], Any]) -> list[str]:
    """The text before kernels are chosen: for a graph with operators that this device does not have `compile_graph` may fail there."""
    ms.set_context(save_graphs=1, save_graphs_path=str(folder))
    try:
        with mock.patch.dict(
            os.environ, MS_DEV_DUMP_IR_PASSES="validate"
        ):  # the graph of every pass takes as long as all else
            compile_graph()
    except RuntimeError as error:
        if not any(sentence in str(error) for sentence in _NO_KERNEL):
            raise
    finally:
        ms.set_context(save_graphs=0)
    (path,) = folder.rglob("*_validate_*.ir")
    return path.read_text().splitlines()


def _parse(lines: list[str]) -> Iterator[Operator]:
    for place, line in enumerate(lines):
        found = _OPERATOR.match(line)
        types = _TYPES.match(lines[place + 1]) if found else None
        if found and types and found[1] not in _NO_WORK:
            frames = []
            for following in lines[place + 2 :]:
                if not following.startswith("      #"):
                    break
                if frame := _FRAME.match(following):
                    frames.append(Frame(*frame.groups()))
            function = _FUNCTION.search(line)
            yield Operator(function[1] if function else found[1], _kinds(types[1]), _kinds(types[2]), frames)


def _kinds(text: str) -> list[str]:
    """The types of the tensors: a run of equal ones is written once, with its length."""
    return [kind for kind, count in _TENSOR.findall(text) for _ in range(int(count or 1))]
