"""Cuts as small expressions on named columns: `"ptj1 > 1200 and abs(etaj1) < 2.5"`. Parsed, never executed."""

from __future__ import annotations

import ast
import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.table.table import CutflowRow, EventTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "sqrt": np.sqrt, "log": np.log, "exp": np.exp, "min": np.minimum, "max": np.maximum,
}  # fmt: skip


def select(table: EventTable, expression: str) -> EventTable:
    """Events of a table that pass a cut, with one more row in the cutflow for each part that `and` joins.

    Parameters
    ----------
    table : EventTable
    expression : str
        Comparisons of columns (features and spectators), numbers, + - * / **, and abs, sqrt, log, exp, min, max;
        joined by `and`, `or`, `not`. Evaluated in float64.

    Raises
    ------
    InputError
        If the expression cannot be parsed, names an unknown column or function, is no yes-or-no question, or is
        undefined (NaN) for an event.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        raise InputError(f"selection {expression!r} is no expression: {wrong}") from None
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    reader = _Reader(table, expression)
    keep = np.ones(len(table), dtype=bool)
    cutflow = list(table.cutflow)
    for part in parts:
        try:
            with np.errstate(all="ignore"):  # what is undefined is an error below, with the place
                keep &= reader.truth(part)
        except RecursionError:
            raise InputError(f"selection {expression[:40]!r}... is nested too deep; write it plainly") from None
        cutflow += _rows(table, keep, ast.unparse(part))
    return replace(table[keep], cutflow=tuple(cutflow))


def passes(table: EventTable, expression: str) -> NDArray[np.bool_]:
    """Whether each event of a table passes a cut, (n,); the cut and its errors are those of `select`."""
    numbered = replace(table, event=np.arange(len(table)), cutflow=())
    passed = np.zeros(len(table), bool)
    passed[select(numbered, expression).event] = True
    return passed


def _rows(table: EventTable, keep: np.ndarray, step: str) -> list[CutflowRow]:
    rows = []
    for i, process in enumerate(table.processes):
        for j, generator in enumerate(table.generators):
            mine = (table.process == i) & (table.generator == j)
            if mine.any():
                weight = table.weight[mine & keep]
                rows.append(CutflowRow(process, generator, step, len(weight), float(np.sum(weight))))
    return rows


class _Reader:
    def __init__(self, table: EventTable, expression: str) -> None:
        self.table, self.expression = table, expression

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return np.float64(number)
            case ast.Name(id=name):
                return self.table[name].astype(np.float64)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return ~self.truth(inner)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self.number(inner)
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return join.reduce([self.truth(part) for part in parts])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self.number(left), self.number(right))
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
                sides = [self.defined(side) for side in (left, *others)]
                steps = zip(ops, sides, sides[1:], strict=False)
                return np.logical_and.reduce([np.asarray(_COMPARE[type(op)](a, b)) for op, a, b in steps])
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(name, arguments)
        raise InputError(
            f"selection {self.expression!r}: {ast.unparse(node)!r} is not understood; "
            "use columns, numbers, comparisons, and, or, not, + - * / **, " + ", ".join(_FUNCTIONS)
        )

    def truth(self, node: ast.AST) -> Any:
        value = self.value(node)
        if not (isinstance(value, np.ndarray) and value.dtype == bool):
            raise InputError(
                f"selection {self.expression!r}: {ast.unparse(node)!r} is a number; compare it with something"
            )
        return value

    def number(self, node: ast.AST) -> Any:
        value = self.value(node)
        if isinstance(value, np.ndarray) and value.dtype == bool:
            raise InputError(f"selection {self.expression!r}: {ast.unparse(node)!r} is a yes or no, not a number")
        return value

    def defined(self, node: ast.AST) -> Any:
        value = self.number(node)
        bad = np.flatnonzero(np.isnan(np.broadcast_to(value, (len(self.table),))))
        if len(bad):
            raise InputError(f"selection {self.expression!r}: {ast.unparse(node)!r} is undefined for {len(bad)} events")
        return value

    def call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name not in _FUNCTIONS:
            raise InputError(f"selection {self.expression!r}: no function {name!r}; {nearest(name, _FUNCTIONS)}")
        expected = 2 if name in ("min", "max") else 1
        if len(arguments) != expected:
            raise InputError(f"selection {self.expression!r}: {name} takes {expected} arguments, not {len(arguments)}")
        return _FUNCTIONS[name](*(self.number(a) for a in arguments))
