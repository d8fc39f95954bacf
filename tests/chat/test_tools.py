"""The calculator agrees with Python on arithmetic and has no answer for anything else, in whatever thread it runs."""

from __future__ import annotations

import random
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from nanochat.chat.tools import MAX_EXPRESSION_CHARACTERS, MAX_OUTPUT_CHARACTERS, calculate

# As the original computes them: Python's own numbers, printed as Python prints them.
COMPUTED = {
    "123*456": "56088",
    "12 * 34": "408",
    "7/2": "3.5",
    "6/3": "2.0",
    "7//2": "3",
    "-7//2": "-4",
    "1.5//0.2": "7.0",
    "1,234,567 + 1": "1234568",
    "0.1+0.2": "0.30000000000000004",
    "-(2+3)*4": "-20",
    "--3": "3",
    "+3": "3",
    "2-+-3": "5",
    "5.": "5.0",
    ".5*2": "1.0",
    "00": "0",
    " 1 + 1 ": "2",
    "((((1))))": "1",
    "-0.0": "-0.0",
    "1000000*1000000*1000000*1000000": "1" + "0" * 24,
    "1/1000000": "1e-06",
    "'strawberry'.count('r')": "3",
    '"strawberry".count("rr")': "1",
    "'Banana' . count ( \"a\" )": "3",
    " 'aaa'.count('') ": "4",
    "''.count('a')": "0",
    "'it is'.count(' ')": "1",
    "'important'.count('t')": "2",
}

# Where the original's eval would answer, or be asked to, and this calculator does not.
# fmt: off
NOT_COMPUTED = [
    # not Python, or Python of another kind
    "", " ", "(", ")", "()", "...", ".", ",", "+", "1+", "*1", "1 2", "1..2", "007", "1_000", "(1)(2)", "1.5.2",
    "2**3", "9**9**9**9", "2 ** 3", "2* *3", "5%3", "1<<9", "1|2", "~1", "1==1", "1<2", "1 if 1 else 2", "1e5", "0x10",
    "1j", "5j*5", "True", "None", "[1]", "{1}", "1;2", "1\n2", "1\t+1", "1#2", "x", "x:=1", "lambda: 1", "abs(-1)",
    # no result, or none that is a number
    "1/0", "1//0", "1.0/0", "0/0", "1/(2-2)", "1/0.0",
    "1" + "/(.1+.2-.3)" * 23,  # a tiny rounding error, divided by until the quotient is infinite
    "(1" + "/(.1+.2-.3)" * 20 + ")*0",  # and from there on undefined
    # a way out of the calculator
    "__import__('os').system('true')", "().__class__.__bases__", "(1).real", "'a'.__class__", "open('/etc/passwd')",
    # texts that are not counted
    "'a'.upper()", "'a'.count", "'a'.count()", "'a'.count('a', 1)", "'a'.count(1)", "'a'*9", "'a'+'b'", "'a'", "f'{1}'",
    "'a'.count('a').real", "'a'.count('a')+1", "'a'.upper().count('A')", "'\\'.count('a')", "'a\\'b'.count('b')",
    "'a\".count('a')", "'a' 'b'.count('a')", "b'a'.count(b'a')", "1+'a'.count('a')", "'a'.count('a' 'a')",
    # digits and signs of other scripts, and what is no character at all
    "１+１", "٣*٣", "²", "½", "1−1", "2×3", "6÷2", "∞", "\x00", "1\x00", "\ud800", "1+\u200b1", "🦊", "1+1\u2028",
    # too long, too deep, too large
    "9" * (MAX_OUTPUT_CHARACTERS + 1), "9" * 10_000, "9*" * 5_000 + "9", "9" * 120 + "*" + "9" * 120, " " * 256,
    "(" * 10_000, "(" * 120 + ")" * 120, "-" * 10_000 + "1", "-" * 255 + "1", "(" * 255, "1" + "(" * 200, "." * 256,
    "1+" * 5_000 + "1", "'" + "a" * 2_000_000 + "'.count('a')", "'" * 256, "'" * 100 + ".count(" + "'" * 100,
    "'a'.count('a'" + " " * 240, "1." * 128,
]
# fmt: on


@pytest.mark.parametrize(("expression", "output"), COMPUTED.items())
def test_what_the_original_computes_is_computed_and_printed_alike(expression: str, output: str) -> None:
    assert calculate(expression) == output
    assert str(eval(expression.replace(",", "").strip(), {"__builtins__": {}}, {})) == output


@pytest.mark.parametrize("expression", NOT_COMPUTED, ids=range(len(NOT_COMPUTED)))
def test_what_is_not_arithmetic_has_no_answer_no_warning_and_takes_no_time(expression: str) -> None:
    started = time.thread_time()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert calculate(expression) is None
    assert not heard
    assert time.thread_time() - started < 1


def test_a_comma_in_a_text_is_counted_and_not_removed() -> None:
    """Unlike in the original, which counts the empty text here and says 4."""
    assert calculate("'a,b'.count(',')") == "1"


def test_the_longest_sum_that_may_be_written_is_computed() -> None:
    longest = "1+" * (MAX_EXPRESSION_CHARACTERS // 2 - 1) + "10"
    assert len(longest) == MAX_EXPRESSION_CHARACTERS
    assert calculate(longest) == str(127 + 10)
    assert calculate(f"{longest}0") is None


def test_a_result_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert calculate("9" * MAX_OUTPUT_CHARACTERS) == "9" * MAX_OUTPUT_CHARACTERS


def arithmetic(draw: random.Random, levels: int) -> str:
    """Write a random expression that the calculator knows."""
    if levels == 0 or draw.random() < 0.2:
        return draw.choice((str(draw.randint(0, 10**6)), f"{draw.uniform(0, 100):.{draw.randint(0, 4)}f}", "0", "7."))
    left, right = arithmetic(draw, levels - 1), arithmetic(draw, levels - 1)
    space = draw.choice(("", " "))
    operation = f"{left}{space}{draw.choice(('+', '-', '*', '/', '//'))}{space}{right}"
    return draw.choice((operation, f"({operation})", f"-({operation})"))


def evaluated(expression: str) -> str | None:
    try:
        return str(eval(expression, {"__builtins__": {}}, {}))
    except ArithmeticError:
        return None


def test_random_arithmetic_equals_what_python_evaluates() -> None:
    draw = random.Random(13)
    answers = 0
    for _ in range(3_000):
        expression = arithmetic(draw, 4)
        if len(expression) <= MAX_EXPRESSION_CHARACTERS:
            assert calculate(expression) == evaluated(expression), expression
            answers += calculate(expression) is not None
    assert answers > 1_500


def test_random_noise_is_never_an_error_and_only_arithmetic_has_an_answer() -> None:
    draw = random.Random(17)
    for _ in range(5_000):
        expression = "".join(draw.choices("0123456789.+-*/() '\"acount,\\_", k=draw.randint(1, 30)))
        if calculate(expression) is not None and ".count" not in expression:
            assert calculate(expression) == evaluated(expression.replace(",", "").strip())


def test_many_threads_compute_at_once() -> None:
    """The original answers on the main thread alone, and ours never runs there."""
    expressions = [f"{number}*{number + 1}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(calculate, expressions)) == [str(number * (number + 1)) for number in range(400)]
