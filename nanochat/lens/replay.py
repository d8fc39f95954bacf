"""An answer as a link: everything that led to it, packed so that the same weights give the same answer again.

The link holds the messages (answers as token ids, for text could be read as other ids), the settings with the seed, and
the checksum of the weights, so that a link followed on another model can say so. It is packed into one query parameter:
JSON, compressed, in the letters a link may hold. Whoever follows a link may have changed it, so it is read with bounds
and goes through the same doors as any other chat.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import InvalidMessageError, InvalidSettingError, LensError

# Servers and proxies commonly take 8,000 characters of address.
MAX_LINK_CHARACTERS = 7_000
MAX_JSON_BYTES = 400_000
_SETTINGS = frozenset(asdict(SamplingSettings()))


@dataclass(frozen=True, slots=True)
class Replay:
    """A conversation that waits for its answer, how it is to be answered, and the weights that answered it before."""

    conversation: Conversation
    settings: SamplingSettings
    checksum: str = ""


def encoded(replay: Replay) -> str:
    """Return the value of the link's parameter. Raises LensError for a chat that is too long for a link."""
    record = {"m": [_packed(message) for message in replay.conversation.messages], "s": asdict(replay.settings)}
    text = json.dumps(record | {"w": replay.checksum}, separators=(",", ":"), ensure_ascii=False)
    value = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    if len(value) > MAX_LINK_CHARACTERS:
        raise LensError("This chat is too long for a link: save it as JSON, or copy the call instead.")
    return value


def decoded(value: str, template: ChatTemplate) -> Replay:
    """Read the value of a link's parameter. Raises LensError for a damaged one, and what a wrong chat raises."""
    record = _unpacked(value)
    messages, settings, checksum = record.get("m"), record.get("s"), record.get("w", "")
    if not isinstance(messages, list) or not isinstance(settings, dict) or not isinstance(checksum, str):
        raise LensError("This link is damaged: copy it again.")
    if not settings.keys() <= _SETTINGS:
        raise LensError("This link has settings that are not known here: it is from another version.")
    try:
        conversation = Conversation.from_messages([_message(item, template) for item in messages])
        return Replay(conversation, SamplingSettings(**settings), checksum)
    except (InvalidMessageError, InvalidSettingError) as error:
        raise LensError(f"This link cannot be followed. {error}") from error


def python_call(replay: Replay, address: str) -> str:
    """Return a Python program that asks this server's API for the same answer."""
    arguments = ",\n".join(f"    {name}={value!r}" for name, value in _arguments(replay).items())
    return (
        "from gradio_client import Client\n\n"
        f"client = Client({address!r})\n"
        f'result = client.predict(\n{arguments},\n    api_name="/generate",\n)\n'
        'print(result["text"])\n'
    )


def curl_call(replay: Replay, address: str) -> str:
    """Return a shell command that asks this server's API for the same answer."""
    values = list(_arguments(replay).values())
    # As gradio's API takes them: the values in the order of the parameters, the system prompt being among the messages.
    body = json.dumps({"data": [values[0], "", *values[1:]]}, ensure_ascii=False)
    quoted = "'" + body.replace("'", "'\\''") + "'"
    call = f"{address.rstrip('/')}/gradio_api/call/generate"
    return (
        f"event=$(curl -s {call} -H 'Content-Type: application/json' -d {quoted} | cut -d'\"' -f4)\n"
        f'curl -sN "{call}/$event"\n'
    )


def _arguments(replay: Replay) -> dict[str, Any]:
    messages = [{"role": message.role, "content": _content(message)} for message in replay.conversation.messages]
    return {"messages": messages, **asdict(replay.settings)}


def _content(message: Message) -> str | list[dict[str, str]]:
    if isinstance(message.content, str):
        return message.content
    return [{"type": part.type, "text": part.text} for part in message.content]


def _packed(message: Message) -> list[Any]:
    return [message.role[0], _content(message) if message.ids is None else list(message.ids)]


def _unpacked(value: str) -> dict[str, Any]:
    """Undo the packing; a few characters could otherwise unfold into gigabytes."""
    if len(value) > MAX_LINK_CHARACTERS:
        raise LensError("This link is too long: copy it again.")
    try:
        packed = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        unfolding = zlib.decompressobj()
        text = unfolding.decompress(packed, MAX_JSON_BYTES)
        if not unfolding.eof:
            raise LensError("This link is damaged: copy it again.")
        record = json.loads(text)
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise LensError("This link is damaged: copy it again.") from error
    if not isinstance(record, dict):
        raise LensError("This link is damaged: copy it again.")
    return record


def _message(item: object, template: ChatTemplate) -> Message | dict[str, object]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str) or item[0] not in roles:
        raise LensError("This link is damaged: copy it again.")
    role, content = roles[item[0]], item[1]
    if role == "assistant" and _are_ids(content, template.vocab_size):
        return Answer(template, content).message()
    return {"role": role, "content": content}


def _are_ids(content: object, vocab_size: int) -> bool:
    return isinstance(content, list) and all(type(one) is int and 0 <= one < vocab_size for one in content)
