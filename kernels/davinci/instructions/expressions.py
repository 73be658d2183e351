"""Symbolic scalars: what a loop variable, a ``Scalar`` and arithmetic on them are while a kernel is traced.

An expression is evaluated in two ways. ``evaluate`` compiles it once to a Python function over plain integers (all lanes
agree) or NumPy arrays (one entry per lane). ``interval`` bounds it when some of its variables are only known as ranges,
which is how the executor proves that the iterations of a loop do not touch each other's memory.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, StructureError, caller_location

Value = Any
Interval = tuple[Value, Value]

INTEGER_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOAT_TYPES = ("float16", "float32")
NEUTRAL_RIGHT, NEUTRAL_LEFT = (("+", 0), ("-", 0), ("*", 1), ("//", 1)), (("+", 0), ("*", 1))
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

_identifiers = itertools.count(1)


def truncated_division(a: Value, b: Value) -> Value:
    """Integer quotient rounded towards zero, as the scalar unit divides."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        quotient = np.abs(a) // np.abs(b)
        return np.where((np.asarray(a) < 0) != (np.asarray(b) < 0), -quotient, quotient)
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def _bit_count(value: Value, width: int = 64) -> Value:
    bits = np.asarray(value).astype(np.uint64)
    return sum(((bits >> np.uint64(i)) & np.uint64(1)).astype(np.int64) for i in range(width))


def _leading_zeros(value: Value) -> Value:
    bits = np.asarray(value).astype(np.uint64)
    length = np.zeros(bits.shape, np.int64)
    for i in range(64):
        length = np.where(bits >> np.uint64(i) != 0, i + 1, length)
    return 64 - length


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "truncated_division": truncated_division,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "max": np.maximum,
    "min": np.minimum,
    "all": np.logical_and,
    "any": np.logical_or,
    "countbit1": _bit_count,
    "countbit0": lambda value: 64 - _bit_count(value),
    "countleading0": _leading_zeros,
    "round": np.rint,
    "away-zero": lambda x: np.where(x < 0, -np.floor(0.5 - x), np.floor(x + 0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
    "to-zero": np.trunc,
}


class Expression:
    """A value that is known only when the program runs."""

    __slots__ = ("_compiled", "arguments", "dtype", "kind")
    __hash__ = object.__hash__

    def __init__(self, kind: str, arguments: tuple[Any, ...], dtype: str) -> None:
        self.kind = kind
        self.arguments = arguments
        self.dtype = dtype
        self._compiled: Callable[[Callable[[int], Value]], Value] | None = None

    def __bool__(self) -> bool:
        raise StructureError(
            "a symbolic scalar has no truth value while the kernel is traced; use if_scope, or tik.all / tik.any",
            caller_location(),
        )

    def __index__(self) -> int:
        raise StructureError(
            "a symbolic scalar has no Python integer value while the kernel is traced", caller_location()
        )

    __int__ = __float__ = __index__  # type: ignore[assignment]

    def __add__(self, other: Any) -> Expression:
        return binary("+", self, other)

    def __radd__(self, other: Any) -> Expression:
        return binary("+", other, self)

    def __sub__(self, other: Any) -> Expression:
        return binary("-", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return binary("-", other, self)

    def __mul__(self, other: Any) -> Expression:
        return binary("*", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return binary("*", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return binary("/", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return binary("/", other, self)

    def __floordiv__(self, other: Any) -> Expression:
        return binary("//", self, other)

    def __rfloordiv__(self, other: Any) -> Expression:
        return binary("//", other, self)

    def __mod__(self, other: Any) -> Expression:
        return binary("%", self, other)

    def __rmod__(self, other: Any) -> Expression:
        return binary("%", other, self)

    def __lshift__(self, other: Any) -> Expression:
        return binary("<<", self, other)

    def __rshift__(self, other: Any) -> Expression:
        return binary(">>", self, other)

    def __and__(self, other: Any) -> Expression:
        return binary("&", self, other)

    def __or__(self, other: Any) -> Expression:
        return binary("|", self, other)

    def __invert__(self) -> Expression:
        return Expression("~", (self,), self.dtype)

    def __neg__(self) -> Expression:
        return binary("-", 0, self)

    def __lt__(self, other: Any) -> Expression:
        return binary("<", self, other)

    def __le__(self, other: Any) -> Expression:
        return binary("<=", self, other)

    def __gt__(self, other: Any) -> Expression:
        return binary(">", self, other)

    def __ge__(self, other: Any) -> Expression:
        return binary(">=", self, other)

    def __eq__(self, other: Any) -> Expression:  # type: ignore[override]
        return binary("==", self, other)

    def __ne__(self, other: Any) -> Expression:  # type: ignore[override]
        return binary("!=", self, other)

    def evaluate(self, lookup: Callable[[int], Value]) -> Value:
        """The value with every variable read through ``lookup(identifier)``."""
        if self._compiled is None:
            constants: list[Any] = []
            source = "lambda v: " + _source(self, constants)
            scope = {f"c{i}": constant for i, constant in enumerate(constants)}
            self._compiled = eval(source, {**_HELPERS, **scope})
        return self._compiled(lookup)

    def interval(self, lookup: Callable[[int], Interval]) -> Interval:
        """Bounds (inclusive) with every variable bounded by ``lookup(identifier)``."""
        return _interval(self, lookup)

    def operations(self) -> int:
        """How many scalar instructions computing this value takes."""
        inner = sum(a.operations() for a in self.arguments if isinstance(a, Expression))
        return inner if self.kind in ("variable", "cast") else inner + 1

    def variables(self) -> frozenset[int]:
        """Identifiers of all variables (loop variables and scalars) in the expression."""
        if self.kind == "variable":
            return frozenset((self.arguments[0],))
        return frozenset().union(*(a.variables() for a in self.arguments if isinstance(a, Expression)))


class Variable(Expression):
    """A loop variable, or the base of ``Scalar``."""

    __slots__ = ("identifier", "name")
    __hash__ = object.__hash__

    def __init__(self, name: str, dtype: str) -> None:
        self.identifier = next(_identifiers)
        self.name = name
        super().__init__("variable", (self.identifier,), dtype)


def dtype_of(value: Any) -> str | None:
    """The type of an expression; None for a Python number, which takes the type of its partner."""
    return value.dtype if isinstance(value, Expression) else None


def _common_type(a: Any, b: Any) -> str:
    types = [x.dtype for x in (a, b) if isinstance(x, Expression)]
    floats = [t for t in types if t in FLOAT_TYPES]
    if floats:
        return max(floats)
    if any(isinstance(x, (float, np.floating)) for x in (a, b)):
        return "float32"
    return max(types or ["int64"], key=lambda t: (t != "bool", np.dtype(t).itemsize))


def binary(operator: str, a: Any, b: Any) -> Expression:
    """The expression ``a operator b``; operands are expressions or Python numbers."""
    for operand in (a, b):
        if not isinstance(operand, (Expression, int, float, np.integer, np.floating, bool)):
            raise ArgumentError(
                f"operator {operator} takes scalars and numbers, not {type(operand).__name__}; read a tensor element with Scalar.set_as",
                caller_location(),
            )
    common = _common_type(a, b)
    if isinstance(b, int) and (operator, b) in NEUTRAL_RIGHT and a.dtype == common in INTEGER_TYPES:
        return a  # type: ignore[no-any-return]
    if isinstance(a, int) and (operator, a) in NEUTRAL_LEFT and b.dtype == common in INTEGER_TYPES:
        return b  # type: ignore[no-any-return]
    return Expression(operator, (cast(a, common), cast(b, common)), "bool" if operator in COMPARISONS else common)


def call(function: str, *arguments: Any, dtype: str | None = None) -> Expression:
    """The expression ``function(*arguments)``; function is a key of FUNCTIONS."""
    known = [a.dtype for a in arguments if isinstance(a, Expression)]
    return Expression(function, arguments, dtype or (known[0] if known else "int64"))


def conjunction(*conditions: Any) -> Expression:
    """``tik.all``: true where every condition is."""
    return _fold("all", conditions)


def disjunction(*conditions: Any) -> Expression:
    """``tik.any``: true where some condition is."""
    return _fold("any", conditions)


def _fold(function: str, conditions: tuple[Any, ...]) -> Expression:
    result = conditions[0]
    for condition in conditions[1:]:
        result = Expression(function, (result, condition), "bool")
    return result


def cast(value: Any, dtype: str) -> Any:
    """The value, an expression or a number, in another type."""
    if isinstance(value, Expression):
        both_integer = value.dtype not in FLOAT_TYPES and dtype not in FLOAT_TYPES
        return value if both_integer or value.dtype == dtype else Expression("cast", (value, dtype), dtype)
    return np.dtype(dtype).type(value) if dtype in FLOAT_TYPES else int(value)


def constant_difference(a: Any, b: Any) -> int | None:
    """``a - b`` where that is one number whatever the variables are; None where it is not known to be."""
    terms = _linear(a)
    for term, factor in _linear(b).items():
        terms[term] = terms.get(term, 0) - factor
    constant = terms.pop(None, 0)
    return None if any(terms.values()) or int(constant) != constant else int(constant)


def _linear(value: Any) -> dict[Any, Any]:
    """A sum of terms, by variable or by what cannot be taken apart; the constant's key is None."""
    if not isinstance(value, Expression):
        return {None: value}
    if value.kind in ("+", "-"):
        left, right = (_linear(a) for a in value.arguments)
        sign = 1 if value.kind == "+" else -1
        return {t: left.get(t, 0) + sign * right.get(t, 0) for t in {**left, **right}}
    if value.kind == "*" and sum(isinstance(a, Expression) for a in value.arguments) == 1:
        number, terms = sorted(value.arguments, key=lambda a: isinstance(a, Expression))
        return {t: number * factor for t, factor in _linear(terms).items()}
    return {value.arguments[0] if value.kind == "variable" else value: 1}


_HELPERS: dict[str, Any] = {f"f_{name.replace('-', '_')}": function for name, function in FUNCTIONS.items()}
_HELPERS["convert"] = lambda value, dtype: np.asarray(value).astype(dtype)[()]


def _source(value: Any, constants: list[Any]) -> str:
    if not isinstance(value, Expression):
        constants.append(value)
        return f"c{len(constants) - 1}"
    if value.kind == "variable":
        return f"v({value.arguments[0]})"
    if value.kind == "cast":
        return f"convert({_source(value.arguments[0], constants)}, {value.arguments[1]!r})"
    parts = [_source(a, constants) for a in value.arguments]
    if value.kind == "~":
        return f"(~{parts[0]})"
    if value.kind == "/" and value.dtype not in FLOAT_TYPES:
        return f"f_truncated_division({parts[0]}, {parts[1]})"
    if value.kind in FUNCTIONS:
        return f"f_{value.kind.replace('-', '_')}({', '.join(parts)})"
    return f"({parts[0]} {value.kind} {parts[1]})"


def _interval(value: Any, lookup: Callable[[int], Interval]) -> Interval:
    if not isinstance(value, Expression):
        return value, value
    if value.kind == "variable":
        return lookup(value.arguments[0])
    if value.kind in _INTERVALS:
        return _INTERVALS[value.kind](*(_interval(a, lookup) for a in value.arguments))
    bounds = [_interval(a, lookup) for a in value.arguments if isinstance(a, Expression)]
    if all(np.array_equal(low, high) for low, high in bounds):
        exact = {i: b[0] for i, b in ((i, lookup(i)) for i in value.variables())}
        result = value.evaluate(exact.__getitem__)
        return result, result
    return -math.inf, math.inf


def _corners(operation: Callable[[Value, Value], Value], a: Interval, b: Interval) -> Interval:
    products = [operation(x, y) for x in a for y in b]
    low = high = products[0]
    for product in products[1:]:
        low, high = np.minimum(low, product), np.maximum(high, product)
    return low, high


def _modulo_interval(a: Interval, b: Interval) -> Interval:
    if not np.array_equal(b[0], b[1]):
        return 0, b[1] - 1
    modulus = b[0]
    same = np.floor_divide(a[0], modulus) == np.floor_divide(a[1], modulus)
    return np.where(same, np.mod(a[0], modulus), 0), np.where(same, np.mod(a[1], modulus), modulus - 1)


_INTERVALS: dict[str, Callable[..., Interval]] = {
    "+": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "-": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "*": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "//": lambda a, b: _corners(np.floor_divide, a, b),
    "/": lambda a, b: _corners(truncated_division, a, b),
    "%": _modulo_interval,
}
