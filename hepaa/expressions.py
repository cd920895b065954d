"""Expressions on named quantities: `"pt > 25 and abs(eta) < 2.5"`, `"pt * cosh(eta)"`. Parsed, never executed.

One language for cuts on tables, on the objects of events, and for quantities derived of others: names, numbers,
comparisons, `and`, `or`, `not`, + - * / **, the bits `&` and `|`, and some functions.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = Callable[[str], Any]

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_BITS: dict[type, Callable[[Any, Any], Any]] = {ast.BitAnd: operator.and_, ast.BitOr: operator.or_}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "sqrt": np.sqrt, "log": np.log, "exp": np.exp, "sin": np.sin, "cos": np.cos, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "min": np.minimum, "max": np.maximum,
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A parsed expression, or one part of it.

    Attributes
    ----------
    source : str
        The whole expression, as it was written.
    tree : ast.expr
        What this part says.
    place : str
        What errors call the expression: "selection", "objects.jets.where".
    dotted : bool
        Names may have dots in them, as branches have (`Jet.PT`).
    unit : str
        What one row is, in errors: "events", "jets".
    """

    source: str
    tree: ast.expr
    place: str = "selection"
    dotted: bool = False
    unit: str = "events"

    @classmethod
    def parse(cls, source: str, *, place: str = "selection", dotted: bool = False, unit: str = "events") -> Expression:
        """The expression that a text stands for.

        Raises
        ------
        InputError
            If the text is none.
        """
        try:
            tree = ast.parse(source.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
            raise InputError(f"{place} {source!r} is no expression: {wrong}") from None
        return cls(source, tree, place, dotted, unit)

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The parts that `and` joins."""
        joined = isinstance(self.tree, ast.BoolOp) and isinstance(self.tree.op, ast.And)
        trees = self.tree.values if joined else [self.tree]  # type: ignore[attr-defined]
        return tuple(Expression(self.source, tree, self.place, self.dotted, self.unit) for tree in trees)

    @property
    def text(self) -> str:
        """This part, plainly written."""
        return ast.unparse(self.tree)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Quantities that are named, each once, in order."""
        functions = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        heads = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        return tuple(
            dict.fromkeys(
                ast.unparse(node)
                for node in ast.walk(self.tree)
                if isinstance(node, ast.Name | ast.Attribute) and id(node) not in functions | heads
            )
        )

    @property
    def thresholds(self) -> tuple[tuple[str, float], ...]:
        """Names that are compared with a number, and the number."""
        return tuple(
            (ast.unparse(side), float(other.value))
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Compare)
            for pair in pairwise([node.left, *node.comparators])
            for side, other in (pair, pair[::-1])
            if isinstance(side, ast.Name) and isinstance(other, ast.Constant) and isinstance(other.value, int | float)
        )

    def truth(self, values: Values, n: int) -> NDArray[np.bool_]:
        """Yes or no for each of n rows.

        Parameters
        ----------
        values : function of a name
            Gives the quantity, (n,); raises InputError for one that is not there.
        n : int

        Raises
        ------
        InputError
            If the expression is not understood, is no yes-or-no question, or is undefined (NaN) for a row.
        """
        answer: NDArray[np.bool_] = np.broadcast_to(self._evaluated(_Reader(self, values, n).truth), (n,))
        return answer

    def number(self, values: Values, n: int) -> NDArray[Any]:
        """A number for each of n rows; NaN where it is undefined. Arguments and errors are those of `truth`."""
        number: NDArray[Any] = np.broadcast_to(self._evaluated(_Reader(self, values, n).number), (n,))
        return number

    def _evaluated(self, rule: Callable[[ast.AST], Any]) -> Any:
        try:
            with np.errstate(all="ignore"):  # what is undefined is an error in a comparison, with the place
                return rule(self.tree)
        except RecursionError:
            raise InputError(f"{self.place} {self.source[:40]!r}... is nested too deep; write it plainly") from None


class _Reader:
    def __init__(self, expression: Expression, values: Values, n: int) -> None:
        self.values, self.n, self.expression = values, n, expression
        self.place = f"{expression.place} {expression.source!r}"

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return np.float64(number)
            case ast.Name(id=name):
                return self.values(name)
            case ast.Attribute() if self.expression.dotted:
                return self.values(ast.unparse(node))
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=inner):
                return ~self.truth(inner)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self.number(inner)
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return reduce(join, [self.truth(part) for part in parts])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self.number(left), self.number(right))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BITS:
                return self.bits(op, left, right)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
                sides = [self.defined(side) for side in (left, *others)]
                steps = zip(ops, sides, sides[1:], strict=False)
                return reduce(np.logical_and, [np.asarray(_COMPARE[type(op)](a, b)) for op, a, b in steps])
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(name, arguments)
        raise InputError(
            f"{self.place}: {ast.unparse(node)!r} is not understood; "
            "use columns, numbers, comparisons, and, or, not, + - * / ** & |, " + ", ".join(_FUNCTIONS)
        )

    def truth(self, node: ast.AST) -> Any:
        value = self.value(node)
        if _is_truth(value):
            return value
        if isinstance(node, ast.BinOp) and type(node.op) in _BITS:
            return value != 0
        if isinstance(node, ast.Name | ast.Attribute) and np.all((value == 0) | (value == 1)):
            return value == 1  # a flag that a file keeps as a number: triggers, identification
        raise InputError(f"{self.place}: {ast.unparse(node)!r} is a number; compare it with something")

    def number(self, node: ast.AST) -> Any:
        value = self.value(node)
        if _is_truth(value):
            if isinstance(node, ast.Name | ast.Attribute):
                return np.float64(value)
            raise InputError(f"{self.place}: {ast.unparse(node)!r} is a yes or no, not a number")
        return np.asarray(value, dtype=np.float64)

    def bits(self, op: ast.operator, left: ast.AST, right: ast.AST) -> Any:
        """Bits of whole numbers; of two yes-or-no questions, what `and` and `or` give."""
        sides = [self.value(side) for side in (left, right)]
        if all(map(_is_truth, sides)):
            return _BITS[type(op)](*sides)
        whole = []
        for node in (left, right):
            number = self.defined(node)
            if np.any(number != np.floor(number)):
                raise InputError(f"{self.place}: {ast.unparse(node)!r} is no whole number, and has no bits")
            whole.append(np.asarray(number).astype(np.int64))
        return _BITS[type(op)](*whole)

    def defined(self, node: ast.AST) -> Any:
        value = self.number(node)
        bad = np.flatnonzero(np.isnan(np.broadcast_to(value, (self.n,))))
        if len(bad):
            raise InputError(f"{self.place}: {ast.unparse(node)!r} is undefined for {len(bad)} {self.expression.unit}")
        return value

    def call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name not in _FUNCTIONS:
            raise InputError(f"{self.place}: no function {name!r}; {nearest(name, _FUNCTIONS)}")
        expected = 2 if name in ("min", "max") else 1
        if len(arguments) != expected:
            raise InputError(f"{self.place}: {name} takes {expected} arguments, not {len(arguments)}")
        return _FUNCTIONS[name](*(self.number(a) for a in arguments))


def _is_truth(value: Any) -> bool:
    return bool(value.dtype == bool)
