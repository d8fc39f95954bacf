"""ChatInterface's own events, found among those of the page.

ChatInterface gives no names to what it wires; what follows an answer can be joined only to the event itself.
"""

from __future__ import annotations

from typing import Any, cast

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.events import Dependency


def answering_events(page: gr.Blocks, chat: gr.ChatInterface) -> dict[str, BlockFunction]:
    """Return the events that run the chat function, by what starts them: submit, retry, example_select …"""
    answers = {}
    for event in page.fns.values():
        if chat.null_component in event.outputs:
            first = event
            while first.trigger_after is not None:
                first = page.fns[first.trigger_after]
            if first.targets:
                answers[first.targets[0][1]] = event
    return answers


def last_after(page: gr.Blocks, event: BlockFunction) -> BlockFunction:
    """Return the end of the longest chain of events that follow one: what is drawn before it is drawn over by it."""
    return _longest_chain(page, event)[-1]


def let_go(page: gr.Blocks, trigger: str) -> None:
    """Take from the page what happens upon a trigger."""
    for event in page.fns.values():
        if any(name == trigger for _, name in event.targets):
            event.targets = []


def dependency(event: BlockFunction) -> Dependency:
    """Return the handle to which further events are joined, as Gradio returned it when it wired this one."""
    return Dependency(None, cast(Any, event).get_config(), event._id, event.fn)


def column_of(component: Block) -> gr.Column:
    """Return the column that a component was drawn in, to draw more at its foot."""
    block = component.parent
    while not isinstance(block, gr.Column):
        block = cast(Block, block).parent
    return block


def _longest_chain(page: gr.Blocks, event: BlockFunction) -> list[BlockFunction]:
    followers = [one for one in page.fns.values() if one.trigger_after == event._id]
    return [event, *max((_longest_chain(page, one) for one in followers), key=len, default=[])]
