"""Evaluates arithmetic, and nothing else."""

import ast
import math
import operator
import re
from collections.abc import Callable

Number = int | float

LONGEST = 200
"""Characters of an expression."""

MOST_BITS = 4096
"""Of any whole number on the way, some 1,200 digits."""

MOST_DIGITS = 300

_CHARACTERS = re.compile(r"[\w.+\-*/%^(), ]+", re.ASCII)
_GLUED = re.compile(r"\d(?![eE][+-]?\d)[A-Za-z]")
"""`1or 2`, which Python's parser still reads, with a warning."""


def _round(value: Number, digits: int = 0) -> Number:
    """Round half to even, as Python does; without bounds `digits` is a way to burn a CPU."""
    if not -MOST_DIGITS <= digits <= MOST_DIGITS:
        raise ValueError(f"round() takes at most {MOST_DIGITS} digits")
    return round(value, digits) if digits else round(value)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "ln": math.log,
    "log": math.log10,
    "max": max,
    "min": min,
    "round": _round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}
CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}


def _power(base: Number, exponent: Number) -> Number:
    """Raise to a power whose size is known before it is computed."""
    if isinstance(base, int) and isinstance(exponent, int):
        if abs(exponent) * max(base.bit_length(), 1) > MOST_BITS:
            raise ValueError("the result would be too large")
        if exponent < 0:
            return float(base) ** exponent
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("the result is not a real number")  # noqa: TRY004 - the input's fault
    return value


_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


def evaluate(expression: str) -> str:
    """Return the value of an expression such as `15/100*240`, to 15 significant digits.

    Knows + - * / // % ** (also written ^), parentheses, pi, e and the names in `FUNCTIONS`;
    `log` is to base 10. Whole numbers are exact.

    Raises:
        ValueError: It is not arithmetic, too large, or has no value.
    """
    tree = _parse(expression)
    try:
        value = _value(tree)
        return str(value) if isinstance(value, int) else _decimal(value)
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except OverflowError:
        raise ValueError("the result would be too large") from None
    except TypeError as error:  # `sqrt(1, 2)`, `round(1, 1.5)`
        raise ValueError(str(error)) from None


def is_arithmetic(expression: str) -> bool:
    """Tell whether there is something to compute: at least an operation or a function."""
    try:
        tree = _parse(expression)
    except ValueError:
        return False
    return any(isinstance(node, ast.BinOp | ast.Call) for node in ast.walk(tree))


def _parse(expression: str) -> ast.expr:
    """Return the tree of an expression that holds only what `_value` knows."""
    text = expression.strip().replace("^", "**")
    if not text or len(text) > LONGEST:
        raise ValueError(f"an expression has 1 to {LONGEST} characters")
    readable = _CHARACTERS.fullmatch(text) and not _GLUED.search(text)
    try:
        tree = ast.parse(text if readable else "", mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{expression!r} is not an arithmetic expression") from None
    _check(tree)
    return tree


def _check(node: ast.expr) -> None:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left)
            _check(right)
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check(operand)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            for argument in args:
                _check(argument)
        case ast.Name(id=name) if name in CONSTANTS:
            pass
        case ast.Constant(value=value) if type(value) in (int, float):
            pass
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is not arithmetic")


def _value(node: ast.expr) -> Number:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(op=sign, operand=operand):
            return -_value(operand) if isinstance(sign, ast.USub) else _value(operand)
        case ast.Call(func=ast.Name(id=name), args=args):
            return _bounded(FUNCTIONS[name](*map(_value, args)))
        case ast.Name(id=name):
            return CONSTANTS[name]
        case ast.Constant(value=int() | float() as value):
            return value
        case _:
            raise AssertionError(f"_check lets nothing else through: {node!r}")


def _bounded(value: Number) -> Number:
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ValueError("the result would be too large")
    return value


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("the result is not a number")
    return f"{value:.15g}"
