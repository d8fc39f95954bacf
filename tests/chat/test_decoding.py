"""Streamed text equals the decoding of all ids, and never shows half a character."""

from __future__ import annotations

import random

import pytest

from nanochat.chat.decoding import TextDecoder
from nanochat.chat.template import ChatTemplate
from tests.original import ERAS, tokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module", params=ERAS)
def template(request: pytest.FixtureRequest) -> ChatTemplate:
    return ChatTemplate(tokenizer(request.param))


def bytes_as_ids(template: ChatTemplate, raw: bytes) -> list[int]:
    """One id for each byte: the hardest way to cut a text."""
    id_of = {template.token_bytes(token_id): token_id for token_id in range(template.vocab_size)}
    return [id_of[bytes([byte])] for byte in raw]


def test_pushes_and_flush_together_equal_the_decoding_of_all_bytes(template: ChatTemplate) -> None:
    draw = random.Random(11)
    for _ in range(1_000):
        ids = draw.choices(range(template.vocab_size), k=draw.randint(0, 40))
        decoder = TextDecoder(template)
        streamed = "".join([*map(decoder.push, ids), decoder.flush()])
        assert streamed == b"".join(map(template.token_bytes, ids)).decode("utf-8", errors="replace")


@pytest.mark.parametrize("text", ["naïve café", "北京", "🦊🔥", "👩\u200d🚀 e\u0301", "\U0010ffff\x00"])
def test_each_character_comes_with_its_last_byte_and_no_sooner(template: ChatTemplate, text: str) -> None:
    decoder = TextDecoder(template)
    for character in text:
        *early, last = bytes_as_ids(template, character.encode())
        assert [decoder.push(token_id) for token_id in early] == [""] * len(early)
        assert decoder.push(last) == character
    assert decoder.flush() == ""


def test_what_is_encoded_is_read_back(template: ChatTemplate) -> None:
    text = "Größe: 12345 日本語 🦊<|bos|>\n\n\tdone  "
    decoder = TextDecoder(template)
    assert "".join(map(decoder.push, template.encode(text))) == text


def test_a_stream_that_ends_within_a_character_ends_in_one_replacement_mark(template: ChatTemplate) -> None:
    decoder = TextDecoder(template)
    pushed = [decoder.push(token_id) for token_id in bytes_as_ids(template, "a🦊".encode()[:-1])]
    assert pushed == ["a", "", "", ""]
    assert decoder.flush() == REPLACEMENT
    assert decoder.flush() == ""


def test_bytes_that_are_no_text_become_replacement_marks_and_the_text_goes_on(template: ChatTemplate) -> None:
    decoder = TextDecoder(template)
    assert "".join(map(decoder.push, bytes_as_ids(template, b"\xf0\x9fok\xff!"))) == f"{REPLACEMENT}ok{REPLACEMENT}!"


def test_control_tokens_show_nothing_even_within_a_character(template: ChatTemplate) -> None:
    decoder = TextDecoder(template)
    first, second = bytes_as_ids(template, "é".encode())
    assert decoder.push(first) == ""
    assert [decoder.push(token_id) for token_id in template.control.all] == [""] * 9
    assert decoder.push(second) == "é"
