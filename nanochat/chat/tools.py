"""The calculator that the model calls by writing an expression between its two python tokens.

It computes what karpathy/nanochat's does (engine.py, use_calculator), + - * / // and parentheses on numbers, and
`'text'.count('t')`, and prints it as Python would. The original hands the expression to eval; here its syntax tree is
walked, and whatever is not one of these operations has no answer. Nothing can run for long either: the length of an
expression is bounded, and without powers no whole number has more digits than were needed to spell it.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

MAX_EXPRESSION_CHARACTERS = 256
MAX_NESTING = 130  # a sum of that many characters is a tree of at most 128 levels
MAX_OUTPUT_CHARACTERS = 200

Number: TypeAlias = int | float

_ARITHMETIC = re.compile(r"[0-9.+\-*/() ]+")
_COUNT = re.compile(r"""\s*(?P<text>'[^'\\]*'|"[^"\\]*")\s*\.\s*count\s*\(\s*(?P<part>'[^'\\]*'|"[^"\\]*")\s*\)\s*""")
_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
    }
)


def calculate(expression: str) -> str | None:
    """Return the result as text, or None for what this calculator does not compute; never raises."""
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        return None
    counting = _COUNT.fullmatch(expression)
    if counting:
        return str(counting["text"][1:-1].count(counting["part"][1:-1]))
    # 1,234,567 is how people write a number.
    arithmetic = expression.replace(",", "").strip(" ")
    if not _ARITHMETIC.fullmatch(arithmetic):
        return None
    try:
        result = _value(ast.parse(arithmetic, mode="eval").body, MAX_NESTING)
    except (SyntaxError, ArithmeticError, _NotComputedError):
        return None
    output = str(result)
    return output if len(output) <= MAX_OUTPUT_CHARACTERS and math.isfinite(result) else None


class _NotComputedError(Exception):
    """A form of Python expression that this calculator leaves alone."""


def _value(node: ast.expr, levels: int) -> Number:
    match node:
        case _ if levels == 0:
            raise _NotComputedError
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, levels - 1)
        case ast.UnaryOp(op=ast.UAdd()):
            return _value(node.operand, levels - 1)
        case ast.BinOp() if type(node.op) in _BINARY:
            return _BINARY[type(node.op)](_value(node.left, levels - 1), _value(node.right, levels - 1))
    raise _NotComputedError
