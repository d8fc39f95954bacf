"""Sums through the calculator, in one fixed form that a small model learns quickly.

The answer repeats the sum, calls the calculator with it, and copies the result: "123 * 456 = " [123*456 -> 56088]
"56088." Numbers are written as they were asked, commas included, so that everything is copying. Where the result has
many decimals the answer says "about" and rounds to two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from nanochat.chat.tools import calculate
from nanochat.recipe.conversations.dialogue import Answer, Dialogue, Exchange, deck, dialogue, table, wordings
from nanochat.recipe.conversations.reserved import is_reserved_sum

SPOKEN = {
    "+": ("plus", "and", "added to"),
    "-": ("minus", "take away", "less"),
    "*": ("times", "multiplied by", "x"),
    "/": ("divided by", "over"),
}


def spelled(number: int) -> str:
    """Write a number from 0 to 100 in words."""
    if number == 100:
        return "one hundred"
    units: list[str] = table("lists")["units"]
    tens: list[str] = table("lists")["tens"]
    if number < 20:
        return units[number]
    return tens[number // 10] + (f"-{units[number % 10]}" if number % 10 else "")


def told(output: str) -> str:
    """Say a calculator result in plain words: 25.0 is 25, and many decimals become "about" with two."""
    if "." not in output and "e" not in output:
        return f"{output}."
    value = float(output)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value)}."
    if "e" not in output and len(output.split(".")[1]) <= 3:
        return f"{output}."
    if abs(value) < 0.01:
        return "less than 0.01." if value > 0 else "just below zero."
    return f"about {value:.2f}."


def calculated(expression: str, shown: str | None = None) -> Answer:
    """Answer a sum: the sum as text, the calculator call, and the result."""
    shown = shown or re.sub(r"(?<=[\d)])([-+*/])(?=[\d(-])", r" \1 ", expression)
    output = calculate(expression)
    if output is None:
        return f"{shown} has no answer, because nothing can be divided by zero."
    return [
        {"type": "text", "text": f"{shown} = "},
        {"type": "python", "text": expression},
        {"type": "python_output", "text": output},
        {"type": "text", "text": told(output)},
    ]


def arithmetic(random: Random) -> Iterator[Dialogue]:
    """Yield single sums: mostly two numbers, some with words, several signs, brackets, or told as a tiny story."""
    makers = (
        _plain,
        _plain,
        _plain,
        _plain,
        _plain,
        _named,
        _spoken,
        _longer,
        _words,
        _told_as_story,
        _decimal,
        _percent,
    )
    for make in deck(random, makers):
        yield dialogue(make(random))


def arithmetic_talks(random: Random) -> Iterator[Dialogue]:
    """Yield sums in a row, and sums that go on from the last result ("and times 2?")."""
    while True:
        exchanges = [_plain(random)]
        for _ in range(random.randint(1, 3)):
            exchanges.append(_going_on(random, exchanges[-1]) if random.random() < 0.6 else _plain(random))
        yield dialogue(*exchanges)


def operands(random: Random, sign: str) -> tuple[int, int]:
    """Draw two numbers of one to five digits whose pair training may see; divisions often come out even."""
    while True:
        digits = random.choice((1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5))
        other = random.choice((1, 2, 2, 3, 3, 4, 5)) if random.random() < 0.6 else digits
        left, right = random.randrange(10 ** (digits - 1), 10**digits), random.randrange(10 ** (other - 1), 10**other)
        if random.random() < 0.03:
            right = random.choice((0, 1, 10, 100, 1000))
        if sign == "/" and right and random.random() < 0.6:
            left = right * random.randrange(1, max(2, min(10**digits, 100_000 // right)))
        if sign == "/" and right == 0 and random.random() < 0.9:
            continue
        if sign == "-" and left < right and random.random() < 0.6:
            left, right = right, left
        if not is_reserved_sum(left, right):
            return left, right


def _sign(random: Random) -> str:
    return random.choice("++--***///")


def _written(random: Random, number: int) -> str:
    return f"{number:,}" if number >= 1000 and random.random() < 0.12 else str(number)


def _plain(random: Random) -> Exchange:
    sign = _sign(random)
    left, right = (_written(random, number) for number in operands(random, sign))
    if random.random() < 0.06 and sign in "+-":
        left = f"-{left}"
    asked = random.choice((f"{left} {sign} {right}", f"{left} {sign} {right}", f"{left}{sign}{right}"))
    if sign == "*" and random.random() < 0.25:
        asked = random.choice((f"{left} x {right}", f"{left}x{right}", f"{left} × {right}"))
    if sign == "/" and random.random() < 0.1:
        asked = f"{left} ÷ {right}"
    if random.random() < 0.25:
        asked = f"{left} {random.choice(SPOKEN[sign][:1] if sign != '*' else SPOKEN[sign][:2])} {right}"
    return random.choice(wordings("sum")).format(sum=asked), calculated(f"{left}{sign}{right}")


def _named(random: Random) -> Exchange:
    sign = _sign(random)
    left, right = operands(random, sign)
    return random.choice(table("lists")["named sums"][sign]).format(left=left, right=right), calculated(
        f"{left}{sign}{right}"
    )


def _spoken(random: Random) -> Exchange:
    sign = _sign(random)
    left, right = operands(random, sign)
    asked = f"{left} {random.choice(SPOKEN[sign])} {right}"
    return random.choice(wordings("sum")).format(sum=asked), calculated(f"{left}{sign}{right}")


def _longer(random: Random) -> Exchange:
    while True:
        a, b, c = (random.randrange(1, random.choice((10, 100, 1000))) for _ in range(3))
        if not (is_reserved_sum(a, b) or is_reserved_sum(b, c)):
            break
    first, second = random.choice("+-*"), random.choice("+-*/")
    form = random.choice(("{a}{f}{b}{s}{c}", "({a}{f}{b}){s}{c}", "{a}{f}({b}{s}{c})", "{a}{f}{b}{s}{c}"))
    expression = form.format(a=a, b=b, c=c, f=first, s=second)
    spaced = re.sub(r"([-+*/])", r" \1 ", expression)
    return random.choice(wordings("sum")).format(sum=random.choice((expression, spaced, spaced))), calculated(
        expression, spaced
    )


def _words(random: Random) -> Exchange:
    sign = _sign(random)
    left, right = random.randint(0, 20), random.randint(1, 12)
    if random.random() < 0.3:
        left = random.choice((20, 30, 40, 50, 60, 70, 80, 90, 100, random.randint(21, 99)))
    if is_reserved_sum(left, right):
        left = right
    asked = f"{spelled(left)} {SPOKEN[sign][0]} {spelled(right)}"
    return random.choice(wordings("sum")).format(sum=asked), calculated(f"{left}{sign}{right}")


def _told_as_story(random: Random) -> Exchange:
    sign = _sign(random)
    limit = random.choice((20, 100, 100, 500))
    while True:
        left, right = random.randint(2, limit), random.randint(2, max(3, limit // random.choice((1, 2, 5))))
        if sign == "/":
            left = right * random.randint(2, 12)
        if sign == "-" and left < right:
            left, right = right, left
        if not is_reserved_sum(left, right):
            break
    name, friend = random.sample(table("lists")["first names"], 2)
    question = random.choice(table("lists")["sums as stories"][sign]).format(
        left=left, right=right, things=random.choice(table("lists")["countable things"]), name=name, friend=friend
    )
    return question, calculated(f"{left}{sign}{right}")


def _decimal(random: Random) -> Exchange:
    sign = _sign(random)
    left, right = (
        f"{random.randrange(1, 1000) / 10}",
        f"{random.choice((random.randrange(1, 100) / 10, random.randint(2, 20)))}",
    )
    return random.choice(wordings("sum")).format(sum=f"{left} {sign} {right}"), calculated(f"{left}{sign}{right}")


def _percent(random: Random) -> Exchange:
    kind = random.randrange(3)
    number = random.choice((10, 20, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 800, 1000, 2000))
    if kind == 0:
        part = random.choice((5, 10, 20, 25, 30, 40, 50, 75, 90))
        wording = random.choice(("What is {p}% of {n}?", "What is {p} percent of {n}?", "{p}% of {n}"))
        return wording.format(p=part, n=number), calculated(f"{number}*{part}/100")
    value = random.choice((random.randint(2, 30), random.randint(10, 100) * 2))
    if is_reserved_sum(value, 2) or is_reserved_sum(value, value):
        value = 2 + value % 10
    if kind == 1:
        return random.choice(("What is half of {n}?", "half of {n}", "What is {n} in half?")).format(
            n=value
        ), calculated(f"{value}/2")
    if random.random() < 0.5:
        return random.choice(("What is {n} squared?", "What is the square of {n}?")).format(n=value), calculated(
            f"{value}*{value}"
        )
    return random.choice(("What is double {n}?", "What is twice {n}?", "Double {n}.")).format(n=value), calculated(
        f"{value}*2"
    )


def _going_on(random: Random, before: Exchange) -> Exchange:
    """Ask for one more step from the number that the last answer gave."""
    answer = before[1]
    output = answer[2]["text"] if isinstance(answer, list) else ""
    number = output.removesuffix(".0")
    if not re.fullmatch(r"-?\d{1,7}", number):
        return _plain(random)
    sign, step = _sign(random), random.choice((2, 2, 3, 4, 5, 10, random.randint(2, 99)))
    if is_reserved_sum(int(number), step):
        return _plain(random)
    word = SPOKEN[sign][0]
    wording = random.choice(("And {word} {step}?", "and {word} {step}", "And that {word} {step}?", "Now {word} {step}.",
                             "What is that {word} {step}?", "{word} {step}?", "And {sign} {step}?"))  # fmt: skip
    return wording.format(word=word, step=step, sign=sign), calculated(f"{number}{sign}{step}")
