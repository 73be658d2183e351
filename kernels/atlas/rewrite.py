"""The compiler's last text (HIVM) rewritten into upstream MLIR with calls of the machine. Pure text, no wheel needed.

Flags, barriers and buffers are numbered in the order of the text, so that the machine can leave one out or move it: those
are the mutants. A change of the kernel's source line becomes a call too, so that a hazard can name the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import UnsupportedKernelError
from .header import PIPES
from .targets import memory_sizes

MEMORIES = {"ub": "UB", "cbuf": "L1", "cc": "L0C"}
FLAT = "!llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>"  # descriptor of a rank-1 memref
DECLARATIONS = """
  func.func private @machine_set_flag(i64, i64, i64, i64)
  func.func private @machine_wait_flag(i64, i64, i64, i64)
  func.func private @machine_barrier(i64, i64)
  func.func private @machine_mask_norm()
  func.func private @machine_block() -> i64
  func.func private @machine_line(i64)
  func.func private @machine_compare_items(i64)
  func.func private @machine_memory(i64, i64) -> i64
"""
OPERATION = re.compile(
    r"\s*hivm\.hir\.(?P<way>set|wait)_flag\[<PIPE_(?P<source>\w+)>, <PIPE_(?P<target>\w+)>, "
    r"(?:<EVENT_ID(?P<event>\d+)>|(?P<value>%[\w-]+))\]"
    r"|\s*hivm\.hir\.pipe_barrier\[<PIPE_(?P<pipe>\w+)>\]"
    r"|\s*(?P<norm>hivm\.hir\.set_mask_norm)"
    r"|\s*(?P<block>%[\w-]+) = hivm\.hir\.get_block_idx -> i64"
    r"|\s*(?P<view>%[\w-]+) = hivm\.hir\.bitcast (?P<viewed>%[\w-]+) : (?P<from>.*) -> (?P<to>memref<.*>)"
    r"|\s*(?P<cast>%[\w-]+) = hivm\.hir\.pointer_cast\((?P<offset>%[\w-]+)\) : memref<(?P<type>.*), #hivm\.address_space<(?P<memory>\w+)>>"
)
LOCATION = re.compile(r"\s*loc\((#loc\d*|unknown|callsite\(#loc\d* at #loc\d*\))\)")
DEFINITION = re.compile(r'^(#loc\d*) = loc\((?:"(?P<file>[^"]*)":(?P<line>\d+):\d+|(?P<other>.*))\)$', re.M)
CAST = re.compile(r"\s*(%[\w-]+) = memref\.cast %[\w-]+ : memref<(\d+)x\w+, #hivm")
COMPARISON = re.compile(r"\s*(?:func\.)?call @vcmp\w*\((%[\w-]+)")
WORTH_A_LINE = re.compile(r"hivm\.hir|\bcall @|memref\.(?:load|store)")


@dataclass(frozen=True)
class Synchronisation:
    """A flag or a barrier of the text; `event` is a number or the value that holds it."""

    number: int
    way: str  # "set", "wait" or "barrier"
    source: str
    target: str
    event: str
    line: int


@dataclass(frozen=True)
class Buffer:
    """A place in an on-chip memory."""

    number: int
    memory: str
    offset: int
    bytes: int


@dataclass
class Rewritten:
    """The upstream text and what was numbered in it."""

    text: str
    synchronisations: list[Synchronisation] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)


def rewrite(hivm: str, entry: str, file: str = "") -> Rewritten:
    """HIVM to func, scf, arith, memref and calls of machine_*; helper functions of the host and all attributes go.

    `file` is the kernel's: only its lines are named.
    """
    lines = source_lines(hivm, file)
    hivm = re.sub(r"  func\.func @\w+_infer_\w+\(.*?\n  \}(?:\s*loc\([^\n]*\))?\n", "", hivm, flags=re.S)
    rewriter = _Rewriter(hivm, lines)
    for line in hivm.splitlines():
        if not line.startswith("#loc"):
            rewriter.line(line)
    text = re.sub(r", #hivm\.address_space<\w+>", "", "\n".join(rewriter.lines))
    text = re.sub(r"module attributes \{.*\} \{", "module {" + DECLARATIONS, text)
    text = re.sub(r"attributes \{hacc\.always_inline.*?\}(?=\n|$)", "attributes {llvm.emit_c_interface}", text)
    text = re.sub(r"(\} )\{(?:hivm|fixpipe)[^\n]*\}", r"\1", text)  # attributes of loops and branches
    rewriter.result.text = _plain_entry(text, entry)
    return rewriter.result


def source_lines(hivm: str, file: str) -> dict[str, int]:
    """Location name -> line of the kernel's file, as the text defines them; of calls, the innermost line in that file."""
    found = {m[1]: m for m in DEFINITION.finditer(hivm)}

    def line_of(name: str, depth: int = 8) -> int:
        match = found.get(name)
        if match is None or depth == 0:
            return 0
        if match["line"]:
            return int(match["line"]) if match["file"] == file else 0
        inner = re.findall(r"#loc\d*", match["other"])
        return next(filter(None, (line_of(part, depth - 1) for part in inner)), 0)

    return {name: line_of(name) for name in found}


def called(hivm: str) -> tuple[str, ...]:
    """The functions of the device library that a kernel declares."""
    return tuple(sorted(set(re.findall(r"func\.func private @(\w+)", hivm))))


def core_of(hivm: str) -> str:
    """ "aiv" (vector) or "aic" (cube); raises `UnsupportedKernelError` for a kernel on both."""
    found = re.search(r"module_core_type<(\w+)>", hivm)
    core = found[1].lower() if found else "unknown"
    if core not in ("aiv", "aic"):
        raise UnsupportedKernelError(
            f"this kernel runs on {core} cores: a program on cube and vector cores at once is not modelled; split it into two"
        )
    return core


def workspace_of(hivm: str) -> int:
    """Bytes of global scratch memory per program."""
    found = re.search(r"_infer_workspace_shape_function\(\).*?constant (\d+) : index", hivm, re.S)
    return int(found[1]) if found else 0


def _plain_entry(text: str, entry: str) -> str:
    head = re.search(r"func\.func @" + entry + r"\((.*?)\) attributes \{[^\n]*\} \{\n", text, re.S)
    if head is None:
        raise UnsupportedKernelError(f"the compiled text has no function {entry}")
    arguments = re.sub(r" \{[^}]*\}", "", head[1])
    return (
        text[: head.start()]
        + f"func.func @{entry}({arguments}) attributes {{llvm.emit_c_interface}} {{\n"
        + text[head.end() :]
    )


class _Rewriter:
    """Rewrites one module line by line."""

    def __init__(self, hivm: str, lines: dict[str, int]) -> None:
        self.result = Rewritten("")
        self.lines: list[str] = []
        self.names = 0
        self.source_lines = lines
        self.current = 0
        self.extents: dict[str, int] = {}  # items of one-dimensional operands of the library
        self.constants = {m[1]: int(m[2]) for m in re.finditer(r"(%[\w-]+) = arith\.constant (-?\d+) : i64", hivm)}

    def line(self, text: str) -> None:
        """Rewrites or keeps one line."""
        locations = LOCATION.findall(text)
        text = LOCATION.sub("", text)
        self._announce(text, self.source_lines.get(locations[-1], 0) if locations else 0)
        found = OPERATION.match(text)
        if found:
            self._operation(found)
        elif "hivm.hir" in text:
            raise UnsupportedKernelError(
                f"line {self.current} of the kernel became an operation that is not modelled: {text.strip()[:120]}"
            )
        else:
            self._call(text)

    def _call(self, text: str) -> None:
        """Keeps a line; the machine is told how many items a comparison is for, since the library compares whole repeats."""
        cast, comparison = CAST.match(text), COMPARISON.match(text)
        if cast:
            self.extents[cast[1]] = int(cast[2])
        items = self.extents.get(comparison[1]) if comparison else None
        if items is None:
            self.lines.append(text)
            return
        self._put(f"func.call @machine_compare_items({self._number(items)}) : (i64) -> ()")
        self.lines.append(text)
        self._put(f"func.call @machine_compare_items({self._number(-1)}) : (i64) -> ()")

    def _announce(self, text: str, line: int) -> None:
        """Tells the machine when the kernel's line changes; after a branch or a loop's edge it is told again."""
        if "scf." in text or text.strip().startswith("}"):
            self.current = 0
        elif line and line != self.current and WORTH_A_LINE.search(text):
            self.current = line
            self._put(f"func.call @machine_line({self._number(line)}) : (i64) -> ()")

    def _operation(self, found: re.Match[str]) -> None:
        if found["way"]:
            source, target = self._number(PIPES[found["source"]]), self._number(PIPES[found["target"]])
            event = found["value"] or self._number(found["event"])
            number = self._synchronisation(
                found["way"], found["source"], found["target"], found["value"] or found["event"]
            )
            self._put(
                f"func.call @machine_{found['way']}_flag({source}, {target}, {event}, {number}) : (i64, i64, i64, i64) -> ()"
            )
        elif found["pipe"]:
            number = self._synchronisation("barrier", found["pipe"], found["pipe"], "")
            self._put(f"func.call @machine_barrier({self._number(PIPES[found['pipe']])}, {number}) : (i64, i64) -> ()")
        elif found["norm"]:
            self._put("func.call @machine_mask_norm() : () -> ()")
        elif found["block"]:
            self._put(f"{found['block']} = func.call @machine_block() : () -> i64")
        elif found["view"]:  # the descriptors of both types are the same
            self._put(
                f"{found['view']} = builtin.unrealized_conversion_cast {found['viewed']} : {found['from']} to {found['to']}"
            )
        else:
            self._buffer(found)

    def _synchronisation(self, way: str, source: str, target: str, event: str) -> str:
        known = self.result.synchronisations
        known.append(Synchronisation(len(known), way, source, target, event, self.current))
        return self._number(len(known) - 1)

    def _buffer(self, found: re.Match[str]) -> None:
        """A buffer at a fixed place. Both pointers of its descriptor must hold that place: the library swaps them at times."""
        memory = MEMORIES[found["memory"]]
        sizes, known = memory_sizes(), self.result.buffers
        offset, size = self.constants.get(found["offset"], -1), sizes[memory]
        known.append(Buffer(len(known), memory, offset, _static_bytes(found["type"])))
        where, number = self._number(list(sizes).index(memory)), self._number(len(known) - 1)
        base = self._put(f"{{new}} = func.call @machine_memory({where}, {number}) : (i64, i64) -> i64")
        address = self._put(f"{{new}} = arith.addi {found['offset']}, {base} : i64")
        pointer = self._put(f"{{new}} = llvm.inttoptr {address} : i64 to !llvm.ptr")
        descriptor = self._put(f"{{new}} = llvm.mlir.undef : {FLAT}")
        zero, extent, one = self._number(0), self._number(size), self._number(1)
        for value, place in ((pointer, "0"), (pointer, "1"), (zero, "2"), (extent, "3, 0"), (one, "4, 0")):
            descriptor = self._put(f"{{new}} = llvm.insertvalue {value}, {descriptor}[{place}] : {FLAT}")
        flat = self._put(f"{{new}} = builtin.unrealized_conversion_cast {descriptor} : {FLAT} to memref<{size}xi8>")
        start = self._put("{new} = arith.constant 0 : index")
        self._put(f"{found['cast']} = memref.view {flat}[{start}][] : memref<{size}xi8> to memref<{found['type']}>")

    def _put(self, text: str) -> str:
        """Adds one line; {new} in it becomes a fresh name, which is returned."""
        self.names += 1
        name = f"%machine{self.names}"
        self.lines.append("    " + text.replace("{new}", name))
        return name

    def _number(self, value: object) -> str:
        return self._put(f"{{new}} = arith.constant {value} : i64")


def _static_bytes(kind: str) -> int:
    """Bytes of a memref type such as 64x128xf32; 0 where an extent is not known."""
    if "?" in kind:
        return 0
    *extents, item = kind.split(",")[0].split("x")
    bits = int(re.sub(r"\D", "", item))
    count = 1
    for extent in extents:
        count *= int(extent)
    return -(-count * bits // 8)
