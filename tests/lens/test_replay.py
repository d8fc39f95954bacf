"""A link gives the same answer again, and a damaged one gives a sentence."""

from __future__ import annotations

import ast
import base64
import json
import shlex
import zlib

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.replay import Replay, curl_call, decoded, encoded, python_call
from tests.chat.engines import asked, done, engine_of

SAMPLED = SamplingSettings(temperature=1.1, top_k=40, top_p=0.95, max_tokens=16, seed=11)


def packed(record: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(record).encode())).decode().rstrip("=")


@pytest.mark.parametrize("settings", [SAMPLED, SamplingSettings(temperature=0, max_tokens=16, seed=0)], ids=str)
def test_a_link_reproduces_the_answer_exactly(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, settings: SamplingSettings
) -> None:
    engine = engine_of(tiny_model, tiny_template)
    conversation = Conversation((Message("system", "Be brief, ümläut 日本"), *asked("Why?").messages))
    conversation = conversation.append(done(engine.stream(conversation, settings)).message)
    conversation = conversation.append(Message("user", "And why 'that'?"))
    first = done(engine.stream(conversation, settings)).message.ids
    replay = decoded(encoded(Replay(conversation, settings, "sum")), tiny_template)
    assert replay == Replay(conversation, settings, "sum")
    assert done(engine_of(tiny_model, tiny_template).stream(replay.conversation, replay.settings)).message.ids == first


@pytest.mark.parametrize(
    "value",
    [
        "",
        "no link",
        "AAAA",
        "ä",
        encoded(Replay(asked("Why?"), SAMPLED))[:-9],
        "A" * 8_000,
        packed([]),
        packed({"m": [], "s": {}}),
        packed({"m": [["u", "hi"]], "s": {"temperature": 9}}),
        packed({"m": [["u", "hi"]], "s": {"temperature": "hot"}}),
        packed({"m": [["u", "hi"]], "s": {"colour": 1}}),
        packed({"m": [["u", "hi"]], "s": {}, "w": 7}),
        packed({"m": [["a", [1, 2]]], "s": {}}),
        packed({"m": [["u", "hi"], ["a", [10**9]], ["u", "hi"]], "s": {}}),
        packed({"m": [["u", "hi"], ["a", [True]], ["u", "hi"]], "s": {}}),
        packed({"m": [["u", {"text": "hi"}]], "s": {}}),
        packed({"m": [["u", [1, 2]]], "s": {}}),
        packed({"m": ["u"], "s": {}}),
        packed({"m": [[["u"], "hi"]], "s": {}}),
        packed({"m": [["u", "x" * 9_000]], "s": {}}),
        packed("x" * 500_000),
        packed(json.loads("[" * 300 + "]" * 300)),
    ],
    ids=lambda value: value[:10],
)
def test_a_damaged_link_is_refused_in_words(tiny_template: ChatTemplate, value: str) -> None:
    with pytest.raises(LensError):
        decoded(value, tiny_template)


def test_a_chat_that_no_link_can_hold_is_refused_when_it_is_made() -> None:
    text = "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(7_000))
    with pytest.raises(LensError, match="too long for a link"):
        encoded(Replay(asked(text), SAMPLED))


def test_the_python_call_holds_every_message_and_setting() -> None:
    tree = ast.parse(python_call(Replay(asked('Don\'t "quote" me'), SAMPLED), "http://localhost:7860"))
    (call,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "predict"
    ]
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert arguments["messages"] == [{"role": "user", "content": 'Don\'t "quote" me'}]
    assert arguments["api_name"] == "/generate"
    assert {name: arguments[name] for name in ("temperature", "top_k", "seed")} == {
        "temperature": 1.1,
        "top_k": 40,
        "seed": 11,
    }


def test_the_curl_call_sends_the_same_values_in_the_order_of_the_endpoint() -> None:
    line = curl_call(Replay(asked("Don't 日本 $HOME `x`"), SAMPLED), "http://localhost:7860/").splitlines()[0]
    assert "http://localhost:7860/gradio_api/call/generate" in line
    body = shlex.split(line[len("event=$(") : line.rindex(" | ")])[-1]
    messages, system, *settings = json.loads(body)["data"]
    assert messages == [{"role": "user", "content": "Don't 日本 $HOME `x`"}]
    assert (system, settings) == ("", [1.1, 40, 0.95, 1.0, 16, 11])
