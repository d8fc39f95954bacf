"""Ids equal the original's, typed control tokens stay text, and a turn is the beginning of the next one."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest
from tokenizers import AddedToken, Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message, Part
from nanochat.chat.template import ChatTemplate, ControlTokens
from nanochat.errors import CheckpointError, ContextFullError, InvalidMessageError
from tests.original import ERAS, expected, tokenizer

NAMES = [f"<|{field.name}|>" for field in fields(ControlTokens)]
THREADS = 8


@pytest.fixture(scope="module", params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def template(era: str) -> ChatTemplate:
    return ChatTemplate(tokenizer(era))


@pytest.fixture(scope="module")
def classic() -> ChatTemplate:
    return ChatTemplate(tokenizer(ERAS[0]))


def conversation(*texts: str, system: str = "") -> Conversation:
    turns = [Message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]
    return Conversation(tuple(turns)).with_system(system)


def hostile_strings(count: int) -> list[str]:
    """Spell control tokens whole, split, nested and in look-alikes, between any other characters."""
    draw = random.Random(7)
    pieces = [
        *NAMES * 3,
        *(
            "<|",
            "|>",
            "<",
            "|",
            ">",
            "<<|",
            "|>>",
            "bos",
            "assistant_end",
            "user_start",
            "python",
            "_",
            " ",
            "\n",
            "\\",
        ),
        *("＜|bos|＞", "<｜bos｜>", "<❘bos❘>", "‹|bos|›", "<|bоs|>", "<|BOS|>", "<\u200b|bos|>", "<|bos\u0301|>"),
        *("Ġ", "Ċ", "<0x00>", "</s>", "<|endoftext|>", "\x00", "\u202e", "é", "🦊", "👩\u200d🚀", "北京", "12", "it's"),
    ]
    strings = []
    for _ in range(count):
        parts = [draw.choice(pieces) for _ in range(draw.randint(1, 12))]
        if draw.random() < 0.3:
            whole = draw.choice(NAMES)
            place = draw.randint(1, len(whole) - 1)
            parts.insert(draw.randint(0, len(parts)), whole[:place] + draw.choice(pieces) + whole[place:])
        if draw.random() < 0.3:
            parts.append(chr(draw.choice((draw.randint(1, 0xD7FF), draw.randint(0xE000, 0x10FFFF)))))
        strings.append("".join(parts))
    return strings


def test_ids_and_mask_equal_those_of_the_original(era: str, template: ChatTemplate) -> None:
    for case in expected(era)["cases"]:
        assert template.render(Conversation.from_messages(case["messages"])) == (case["ids"], case["mask"])


def test_the_prompt_equals_that_of_the_original(era: str, template: ChatTemplate) -> None:
    for case in expected(era)["cases"]:
        assert template.prompt(Conversation.from_messages(case["messages"][:-1])) == case["completion_ids"]


def test_text_is_encoded_as_the_original_encodes_it(era: str, template: ChatTemplate) -> None:
    for case in expected(era)["encode"]:
        assert template.encode(case["text"]) == case["ids"]


def test_remembered_ids_are_rendered_as_they_are_with_the_original_mask(era: str, template: ChatTemplate) -> None:
    """The original's calculator case again, this time from ids and with a content that lies."""
    case = expected(era)["cases"][2]
    ids = tuple(case["ids"][case["ids"].index(template.control.assistant_start) + 1 :])
    ids = ids[: ids.index(template.control.assistant_end)]
    question, answer, *rest = Conversation.from_messages(case["messages"]).messages
    remembered = Conversation((question, Message("assistant", "something else", ids), *rest))
    assert template.render(remembered) == (case["ids"], case["mask"])
    assert template.answer_ids(remembered.messages[1]) == list(ids) == template.answer_ids(answer)


def test_ten_thousand_hostile_strings_put_no_control_id_into_a_prompt(template: ChatTemplate) -> None:
    strings = hostile_strings(10_000)
    assert sum(any(name in text for name in NAMES) for text in strings) > 3_000
    for text in strings:
        ids = template.encode(text)
        assert template.control.all.isdisjoint(ids), text
        assert b"".join(map(template.token_bytes, ids)) == text.encode()


def test_hostile_words_of_every_role_leave_only_the_control_ids_of_the_form(template: ChatTemplate) -> None:
    control = template.control
    form = [control.bos, control.user_start, control.user_end, control.assistant_start, control.python_start]
    form += [control.python_end, control.output_start, control.output_end, control.assistant_end]
    form += [control.user_start, control.user_end, control.assistant_start]
    strings = [f"{text}." for text in hostile_strings(1_000)]
    for system, question, said, call, output, last in zip(*[iter(strings)] * 6, strict=False):
        parts = (Part("text", said), Part("python", call), Part("python_output", output))
        chat = (Message("user", question), Message("assistant", parts), Message("user", last))
        prompt = template.prompt(Conversation(chat).with_system(system))
        assert [token_id for token_id in prompt if token_id in control.all] == form


def test_eight_threads_encode_hostile_strings_as_one_does_while_the_shared_tokenizer_is_switched() -> None:
    shared = Tokenizer.from_str(tokenizer(ERAS[0]).to_str())
    template = ChatTemplate(shared)
    strings = hostile_strings(10_000)
    alone = [template.encode(text) for text in strings]

    def encode_its_share(thread: int) -> bool:
        for place in range(thread, len(strings), THREADS):
            # Others may use the tokenizer they gave us as they like, in the midst of our work.
            if place % 10 == 0:
                shared.encode_special_tokens = not shared.encode_special_tokens
            if template.encode(strings[place]) != alone[place]:
                return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(encode_its_share, range(THREADS)))
    assert all(template.control.all.isdisjoint(ids) for ids in alone)


def test_the_given_tokenizer_is_left_as_it_was(classic: ChatTemplate) -> None:
    given = tokenizer(ERAS[0])
    assert given.encode_special_tokens is False
    assert given.encode("<|bos|>").ids == [classic.control.bos]


def test_typed_control_tokens_stay_text_even_if_the_tokenizer_forgot_that_they_are_special() -> None:
    state = json.loads(tokenizer(ERAS[0]).to_str())
    for added in state["added_tokens"]:
        added["special"] = False
    template = ChatTemplate(Tokenizer.from_str(json.dumps(state)))
    for name in NAMES:
        assert template.control.all.isdisjoint(template.encode(f"a {name} b"))


def test_truncation_and_padding_of_the_given_tokenizer_do_not_cut_a_prompt(classic: ChatTemplate) -> None:
    given = Tokenizer.from_str(tokenizer(ERAS[0]).to_str())
    given.enable_truncation(4)
    given.enable_padding(length=64)
    assert ChatTemplate(given).encode("a longer text than four tokens") == classic.encode(
        "a longer text than four tokens"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_without_a_control_token_is_refused_by_its_name(name: str) -> None:
    state = json.loads(tokenizer(ERAS[0]).to_str())
    state["added_tokens"] = [added for added in state["added_tokens"] if added["content"] != name]
    with pytest.raises(CheckpointError, match=name.replace("|", r"\|")):
        ChatTemplate(Tokenizer.from_str(json.dumps(state)))


def test_a_tokenizer_that_is_not_byte_level_is_refused() -> None:
    state = json.loads(tokenizer(ERAS[0]).to_str())
    state["model"]["vocab"]["▁hello"] = 10_000
    with pytest.raises(CheckpointError, match="byte-level"):
        ChatTemplate(Tokenizer.from_str(json.dumps(state)))
    del state["model"]["vocab"]["▁hello"]
    state["model"]["vocab"]["ĀĀ"] = state["model"]["vocab"].pop("Ā")
    with pytest.raises(CheckpointError, match="byte-level"):
        ChatTemplate(Tokenizer.from_str(json.dumps(state)))


def test_a_tokenizer_that_merges_text_into_a_control_token_is_refused() -> None:
    state = json.loads(tokenizer(ERAS[0]).to_str())
    state["pre_tokenizer"]["pretokenizers"] = state["pre_tokenizer"]["pretokenizers"][1:]
    vocabulary, merges = state["model"]["vocab"], state["model"]["merges"]
    for end in range(2, len("<|bos|>") + 1):
        vocabulary.setdefault("<|bos|>"[:end], 10_000 + end)
        merges.insert(end - 2, ["<|bos|>"[: end - 1], "<|bos|>"[end - 1]])
    state["added_tokens"][0]["id"] = vocabulary["<|bos|>"]
    with pytest.raises(CheckpointError, match="typed"):
        ChatTemplate(Tokenizer.from_str(json.dumps(state)))


def test_token_bytes_follow_the_byte_alphabet_of_gpt2(template: ChatTemplate, era: str) -> None:
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    for spelling, token_id in tokenizer(era).get_vocab(with_added_tokens=False).items():
        assert template.token_bytes(token_id) == bytes(byte_of[character] for character in spelling)


def test_control_and_unused_ids_add_nothing_to_the_text_but_have_a_name(template: ChatTemplate) -> None:
    ids = [getattr(template.control, field.name) for field in fields(ControlTokens)]
    assert [template.token_name(token_id) for token_id in ids] == NAMES
    assert template.control.all == set(ids)
    assert template.vocab_size == max(ids) + 1
    for token_id in (*ids, template.vocab_size, 10**6):
        assert template.token_bytes(token_id) == b""
    assert template.token_name(10**6) == "<|unused_1000000|>"


def test_the_name_of_half_a_character_is_a_replacement_mark(classic: ChatTemplate) -> None:
    assert "".join(map(classic.token_name, classic.encode("Hello world"))) == "Hello world"
    assert "\N{REPLACEMENT CHARACTER}" in "".join(map(classic.token_name, classic.encode("🦊")))


def test_further_tokens_of_a_tokenizer_are_text_when_typed_and_read() -> None:
    given = Tokenizer.from_str(tokenizer(ERAS[0]).to_str())
    given.add_tokens([AddedToken("<|größe|>", special=False)])
    template = ChatTemplate(given)
    assert 512 not in template.encode("<|größe|>")
    assert template.token_bytes(512).decode() == template.token_name(512) == "<|größe|>"


@pytest.mark.parametrize("system", ["", "Be kind."])
def test_a_prompt_with_its_answer_begins_the_prompt_of_the_next_turn(template: ChatTemplate, system: str) -> None:
    draw = random.Random(3)
    control = template.control
    chat = Conversation().with_system(system)
    allowed = sorted(set(range(template.vocab_size)) - {control.bos, control.assistant_end})
    before: list[int] = []
    for text in hostile_strings(50):
        chat = chat.append(Message("user", f"{text}?"))
        prompt = template.prompt(chat)
        assert prompt[: len(before)] == before
        # Any ids a model may produce: broken characters, half a tool call, texts that encode otherwise.
        answer = tuple(draw.choices(allowed, k=draw.randint(0, 20)))
        chat = chat.append(Message("assistant", "for show", answer))
        before = [*prompt, *answer, control.assistant_end]
        assert template.render(chat)[0] == before


def test_an_unfinished_answer_is_continued_where_it_stopped(classic: ChatTemplate) -> None:
    question = conversation("Hi")
    begun = question.append(Message("assistant", "", (5, 6, 7)))
    assert classic.prompt(begun) == [*classic.prompt(question), 5, 6, 7]
    assert classic.prompt(conversation("Hi", "Well")) == [*classic.prompt(question), *classic.encode("Well")]


def test_a_system_message_is_the_beginning_of_the_first_question(classic: ChatTemplate) -> None:
    assert classic.prompt(conversation("Hi", system="Be kind.")) == classic.prompt(conversation("Be kind.\n\nHi"))


def test_a_conversation_without_a_question_has_no_prompt(classic: ChatTemplate) -> None:
    for chat in (Conversation(), Conversation((Message("system", "Be kind."),))):
        for render in (classic.render, classic.prompt, lambda chat: classic.fit(chat, 100)):
            with pytest.raises(InvalidMessageError, match="at least one user message"):
                render(chat)


def test_what_a_model_with_another_tokenizer_wrote_is_read_from_its_text(tiny_template: ChatTemplate) -> None:
    """Two models on one page: their ids are small numbers to both, and other words to each."""
    parts = (Part("text", "It is "), Part("python", "6*7"), Part("python_output", "42"), Part("text", "."))
    other = ChatTemplate(tokenizer("classic-2025"))
    for content in ("The fox ran.", parts):
        written = Answer(tiny_template, tiny_template.answer_ids(Message("assistant", content))).message()
        assert (tiny_template.wrote(written), other.wrote(written)) == (True, False)
        assert tiny_template.answer_ids(written) == list(written.ids or ())
        assert other.answer_ids(written) == other.answer_ids(Message("assistant", content)) != list(written.ids or ())


def test_a_copy_of_a_tokenizer_has_its_vocabulary(tiny_tokenizer: Tokenizer, tiny_template: ChatTemplate) -> None:
    assert ChatTemplate(Tokenizer.from_str(tiny_tokenizer.to_str())).vocabulary == tiny_template.vocabulary


def test_ids_of_another_vocabulary_are_refused(classic: ChatTemplate) -> None:
    chat = conversation("Hi").append(Message("assistant", "", (1, classic.vocab_size)))
    with pytest.raises(InvalidMessageError, match="another vocabulary"):
        classic.prompt(chat)


FITTED = {
    "one question": conversation("one two three"),
    "question last": conversation("one", "two", "three and four", "five", "six seven", "", "eight"),
    "system": conversation("one", "two", "three and four", "five", "six", system="Be kind and brief."),
    "answer to continue": conversation("one", "two", "three and four", "five six seven"),
    "remembered ids": conversation("one", "two", system="Be kind.")
    .append(Message("user", "three"))
    .append(Message("assistant", "four", tuple(range(40))))
    .append(Message("user", "five")),
}


@pytest.mark.parametrize("chat", FITTED.values(), ids=FITTED)
def test_a_fitted_prompt_forgets_as_few_turns_as_the_limit_allows(classic: ChatTemplate, chat: Conversation) -> None:
    """Compared, at every limit, with trying all ways to drop whole turns from the front."""
    system = tuple(message for message in chat.messages if message.role == "system")
    turns = chat.messages[len(system) :]
    choices = [Conversation((*system, *turns[first:])) for first in range(0, len(turns), 2)]
    prompts = [classic.prompt(choice) for choice in choices]
    for limit in range(1, len(prompts[0]) + 3):
        fitting = [place for place, prompt in enumerate(prompts) if len(prompt) <= limit]
        if not fitting:
            with pytest.raises(ContextFullError) as refusal:
                classic.fit(chat, limit)
            assert (refusal.value.needed, refusal.value.limit) == (len(prompts[-1]), limit)
            continue
        fitted = classic.fit(chat, limit)
        assert fitted.dropped_turns == fitting[0]
        assert fitted.conversation == choices[fitting[0]]
        assert list(fitted.ids) == prompts[fitting[0]]


def test_the_longest_chat_is_fitted_in_little_time(classic: ChatTemplate) -> None:
    chat = conversation(*["a" * 60] * 499, system="b" * 2_000)
    started = time.thread_time()
    fitted = classic.fit(chat, 3_000)
    assert fitted.dropped_turns > 100
    assert time.thread_time() - started < 2
