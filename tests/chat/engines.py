"""Models and readers that the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.events import Done, Event, Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate

GREEDY = SamplingSettings(temperature=0, max_tokens=16, seed=0)


def asked(*texts: str) -> Conversation:
    """A chat of user and assistant texts in turn."""
    roles = ("user", "assistant")
    return Conversation(tuple(Message(roles[place % 2], text) for place, text in enumerate(texts)))


def engine_of(model: NanoChatForCausalLM, template: ChatTemplate, **limits: object) -> LocalEngine:
    return LocalEngine(model, template, EngineLimits(**limits))


def done(events: Iterable[Event]) -> Done:
    (last,) = [event for event in events if isinstance(event, Done)]
    return last


def tokens(events: Iterable[Event]) -> list[Token]:
    return [event for event in events if isinstance(event, Token)]


def in_turn(*streams: Iterator[Event]) -> list[list[Event]]:
    """Read several streams event by event in turn, as many readers at once would."""
    collected: list[list[Event]] = [[] for _ in streams]
    live = dict(enumerate(streams))
    while live:
        for place, stream in list(live.items()):
            event = next(stream, None)
            if event is None:
                del live[place]
            else:
                collected[place].append(event)
    return collected


def scripted(template: ChatTemplate, following: Mapping[int, int], context: int = 256) -> NanoChatForCausalLM:
    """A model that knows only which id follows which: an id that is not in the mapping is followed by the end.

    Each id has a channel of its own, the layer adds nothing, and the head reads the channel back.
    """
    size = template.vocab_size
    config = NanoChatConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=context,
        pad_token_id=None,
    )
    model = NanoChatForCausalLM(config).eval()
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.fc2.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        for token_id in range(size):
            model.lm_head.weight[following.get(token_id, template.control.assistant_end), token_id] = 1.0
    return model


def script(*ids: int) -> dict[int, int]:
    """Each id is followed by the next one; an id must not come twice."""
    assert len(set(ids)) == len(ids), "an id that comes twice has two successors"
    return dict(pairwise(ids))
