"""Pickles read as data: what they ask for is written down, and nothing of it is done.

A pickle is a small program for a stack machine, and two of its instructions, "fetch this name" and "call it", are how a
file becomes a command. The machine here has neither: a name becomes a `Name`, a call becomes an `Instance` that records
what would have been called with which arguments. The reader decides what such a record means, and it asks beforehand
which names may occur at all; any other ends the reading.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from nanochat.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Name:
    """Something in a module that the pickle refers to."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What lies outside the pickle, by the key its writer chose."""

    key: Any


@dataclass(slots=True, eq=False)
class Instance:
    """What a call would have made, with the items and the state that would have been put into it."""

    made_by: Name
    arguments: tuple[Any, ...]
    items: dict[Any, Any] = field(default_factory=dict)
    state: Any = None


def read_pickle(content: bytes, allowed: Collection[Name]) -> Any:
    """Return the value a pickle describes, in plain containers and the three records above.

    Raises CheckpointError when it names something that is not allowed, or is no pickle of plain values.
    """
    machine = _Machine(allowed)
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return machine.pop()
            step = _STEPS.get(opcode.name)
            if step is None:
                raise CheckpointError(f"its pickle uses the instruction {opcode.name}, which plain values do not need.")
            step(machine, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("its pickle is damaged.") from error
    raise CheckpointError("its pickle is cut short.")


class _Machine:
    """A stack of values, marks on it, and a memory of values by number."""

    def __init__(self, allowed: Collection[Name]) -> None:
        self.allowed = allowed
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def name(self, module: Any, name: Any) -> None:
        wanted = Name(str(module), str(name))
        if wanted not in self.allowed:
            raise CheckpointError(
                f"its pickle asks for {str(wanted)[:100]}, which has no place here. It was not run: do not load "
                "this file with anything else, and ask whoever gave it to you."
            )
        self.push(wanted)

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError("not a call")
        self.push(Instance(function, arguments))

    def set_items(self, flat: list[Any]) -> None:
        owner = self.stack[-1]
        items = owner.items if isinstance(owner, Instance) else owner
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            # Other keys would be hashed and compared, which nested values make endless.
            if not isinstance(items, dict) or not isinstance(key, str | bytes | int):
                raise TypeError("not a table of plain values")
            items[key] = value

    def set_state(self) -> None:
        state, owner = self.pop(), self.stack[-1]
        if not isinstance(owner, Instance):
            raise TypeError("only an instance has a state")
        owner.state = state


Step = Callable[[_Machine, Any], None]


def _tuple_of(count: int) -> Step:
    def step(machine: _Machine, _: Any) -> None:
        values = tuple(machine.pop() for _ in range(count))
        machine.push(values[::-1])

    return step


def _pair(machine: _Machine) -> list[Any]:
    value, key = machine.pop(), machine.pop()
    return [key, value]


def _named_on_stack(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _push_argument(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _push_constant(value: Any) -> Step:
    return lambda machine, _: machine.push(value)


def _remember(machine: _Machine, number: Any) -> None:
    machine.memory[len(machine.memory) if number is None else number] = machine.stack[-1]


def _pass(_: _Machine, __: Any) -> None:
    """The version of the protocol and the length of a frame say nothing about the value."""


_STEPS: dict[str, Step] = {
    **dict.fromkeys(("PROTO", "FRAME"), _pass),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push_argument),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push_argument),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _push_argument),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, number: machine.push(machine.memory[number])),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.call()),
    "NONE": _push_constant(None),
    "NEWTRUE": _push_constant(True),
    "NEWFALSE": _push_constant(False),
    "EMPTY_TUPLE": _push_constant(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_marked())),
    "SETITEM": lambda machine, _: machine.set_items(_pair(machine)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": _named_on_stack,
    "BUILD": lambda machine, _: machine.set_state(),
    "BINPERSID": lambda machine, _: machine.push(Reference(machine.pop())),
}
