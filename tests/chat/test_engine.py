"""The engine against its oracle, generate() of transformers, and against its invariants: batches, turns, cuts."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import transformers

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation, Message, Part
from nanochat.chat.events import PrefillProgress, Started, Token, ToolCall, ToolResult
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import CheckpointError, ContextFullError, InvalidMessageError, SettingsError
from tests.chat.engines import GREEDY, asked, done, engine_of, in_turn, script, scripted, tokens

QUESTIONS = ("Hello!", "What is the capital of France?", "Größe 🦊", "naïve " * 6)
SAMPLED = SamplingSettings(temperature=0.9, top_k=40, max_tokens=16, seed=11)


@pytest.fixture
def rival(tiny_model: NanoChatForCausalLM) -> transformers.NanoChatForCausalLM:
    """transformers' own model with the same weights."""
    config = transformers.NanoChatConfig(**tiny_model.config.to_dict())
    model = transformers.NanoChatForCausalLM(config).eval()
    model.load_state_dict(tiny_model.state_dict(), strict=True)
    return model


@pytest.mark.parametrize("chunk", [5, 128])
def test_greedy_ids_equal_generate_of_transformers(
    tiny_model: NanoChatForCausalLM,
    rival: transformers.NanoChatForCausalLM,
    tiny_template: ChatTemplate,
    chunk: int,
) -> None:
    engine = engine_of(tiny_model, tiny_template, prefill_chunk_tokens=chunk)
    control = tiny_template.control
    for question in QUESTIONS:
        answer = done(engine.stream(asked(question), GREEDY))
        prompt = torch.tensor([tiny_template.prompt(asked(question))])
        ids = rival.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=GREEDY.max_tokens,
            do_sample=False,
            eos_token_id=[control.assistant_end, control.bos],
            pad_token_id=control.assistant_end,
        )[0, prompt.shape[1] :].tolist()
        while ids and ids[-1] in (control.assistant_end, control.bos):
            ids.pop()
        assert list(answer.message.ids or ()) == ids


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED])
def test_answers_in_a_batch_equal_answers_alone(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, settings: SamplingSettings
) -> None:
    alone = [
        done(engine_of(tiny_model, tiny_template).stream(asked(question), settings)).message for question in QUESTIONS
    ]
    engine = engine_of(tiny_model, tiny_template, slots=len(QUESTIONS), prefill_chunk_tokens=7)
    together = in_turn(*(engine.stream(asked(question), settings) for question in QUESTIONS))
    assert [done(events).message for events in together] == alone


def test_more_requests_than_slots_all_end_with_the_same_answers(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    alone = [done(engine_of(tiny_model, tiny_template).stream(asked(text), GREEDY)).message for text in QUESTIONS]
    engine = engine_of(tiny_model, tiny_template, slots=2)
    together = in_turn(*(engine.stream(asked(question), GREEDY) for question in QUESTIONS))
    assert [done(events).message for events in together] == alone
    assert engine.live_requests == 0


def test_a_seed_repeats_its_answer_and_a_drawn_seed_is_told(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = engine_of(tiny_model, tiny_template)
    first = done(engine.stream(asked("Hello!"), SamplingSettings(temperature=1.5, top_k=0, max_tokens=16)))
    other = done(engine.stream(asked("Hello!"), SamplingSettings(temperature=1.5, top_k=0, max_tokens=16)))
    again = done(
        engine.stream(asked("Hello!"), SamplingSettings(temperature=1.5, top_k=0, max_tokens=16, seed=first.seed))
    )
    assert first.seed != other.seed
    assert first.message != other.message
    assert again.message == first.message


def test_every_turn_reuses_what_the_turn_before_read(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = engine_of(tiny_model, tiny_template)
    chat = asked("Hello!")
    before = done(engine.stream(chat, GREEDY))
    assert before.reused_tokens == 0
    for question in ("And then?", "Why?", "Go on."):
        chat = chat.append(before.message).append(Message("user", question))
        turn = done(engine.stream(chat, GREEDY))
        # All but the last sampled id, which nobody had to read before.
        assert turn.reused_tokens >= before.context_tokens - 1
        fresh = done(engine_of(tiny_model, tiny_template).stream(chat, GREEDY))
        assert fresh.reused_tokens == 0
        assert turn.message == fresh.message
        before = turn


def test_a_retry_reads_one_token(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    engine = engine_of(tiny_model, tiny_template)
    first = done(engine.stream(asked("Hello!"), GREEDY))
    retry = done(engine.stream(asked("Hello!"), GREEDY))
    assert retry.reused_tokens == retry.prompt_tokens - 1
    assert retry.message == first.message


def test_branches_of_a_chat_share_their_beginning(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    engine = engine_of(tiny_model, tiny_template)
    opening = "Tell me about the fox that ran through the forest until the river stopped it."
    first = done(engine.stream(asked(opening), GREEDY))
    chats = [asked(opening).append(first.message).append(Message("user", text)) for text in ("One?", "Two!")]
    one, two = (done(events) for events in in_turn(*(engine.stream(chat, GREEDY) for chat in chats)))
    assert min(one.reused_tokens, two.reused_tokens) >= first.prompt_tokens
    for chat, answer in zip(chats, (one, two), strict=True):
        assert answer.message == done(engine_of(tiny_model, tiny_template).stream(chat, GREEDY)).message


def test_the_events_come_in_their_order_and_survive_pickling(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = engine_of(tiny_model, tiny_template, prefill_chunk_tokens=4)
    events = list(engine.stream(asked(QUESTIONS[1]), GREEDY))
    assert pickle.loads(pickle.dumps(events)) == events
    kinds = [type(event) for event in events]
    assert kinds == sorted(kinds, key=[Started, PrefillProgress, Token, type(done(events))].index)
    started, answer = events[0], done(events)
    assert isinstance(started, Started)
    assert list(started.prompt_ids) == tiny_template.prompt(asked(QUESTIONS[1]))
    progress = [event.done_tokens for event in events if isinstance(event, PrefillProgress)]
    assert progress == sorted(progress)
    assert progress[-1] == answer.prompt_tokens == len(started.prompt_ids)
    assert "".join(token.text for token in tokens(events)) == answer.message.text
    assert tuple(token.id for token in tokens(events)) == answer.message.ids
    assert answer.completion_tokens == len(tokens(events))
    assert answer.context_tokens == answer.prompt_tokens + answer.completion_tokens
    assert 0 < answer.prefill_seconds <= answer.time_to_first_token_seconds
    assert answer.decode_seconds > 0


@torch.inference_mode()
def test_log_probabilities_are_those_of_one_full_pass(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    events = list(engine_of(tiny_model, tiny_template).stream(asked("Hello!"), SAMPLED))
    prompt, ids = tiny_template.prompt(asked("Hello!")), done(events).message.ids
    assert ids
    logits = tiny_model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    logprobs = logits.log_softmax(dim=-1)
    for token, row in zip(tokens(events), logprobs, strict=True):
        assert token.logprob == pytest.approx(row[token.id].item(), abs=1e-4)
        best = row.topk(5)
        assert [candidate.id for candidate in token.top] == best.indices.tolist()
        assert [candidate.logprob for candidate in token.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [candidate.text for candidate in token.top] == [
            tiny_template.token_name(candidate.id) for candidate in token.top
        ]


class TestCalculator:
    def ids(self, template: ChatTemplate, call: str, before: str = "") -> list[int]:
        control = template.control
        return [*template.encode(before), control.python_start, *template.encode(call), control.python_end]

    def forced(self, template: ChatTemplate, output: str) -> list[int]:
        return [template.control.output_start, *template.encode(output), template.control.output_end]

    @pytest.mark.parametrize("chunk", [1, 3, 128])
    def test_a_call_is_answered_in_the_answer(self, tiny_template: ChatTemplate, chunk: int) -> None:
        call = self.ids(tiny_template, "12*34")
        model = scripted(tiny_template, script(tiny_template.control.assistant_start, *call))
        events = list(engine_of(model, tiny_template, prefill_chunk_tokens=chunk).stream(asked("?"), GREEDY))
        answer = done(events)
        output = self.forced(tiny_template, "408")
        assert answer.message.ids == (*call, *output)
        assert answer.message.content == (Part("python", "12*34"), Part("python_output", "408"))
        assert answer.finish_reason == "stop"
        assert [token.id for token in tokens(events) if token.forced] == output
        assert not any(token.text for token in tokens(events))
        place = events.index(ToolCall("12*34"))
        assert events[place + 1] == ToolResult("12*34", "408")
        assert isinstance(events[place - 1], Token)
        assert events[place - 1].id == tiny_template.control.python_end

    @torch.inference_mode()
    def test_forced_ids_have_the_probability_the_model_gave_them(self, tiny_template: ChatTemplate) -> None:
        call = self.ids(tiny_template, "12*34")
        model = scripted(tiny_template, script(tiny_template.control.assistant_start, *call))
        events = list(engine_of(model, tiny_template).stream(asked("?"), GREEDY))
        prompt, ids = tiny_template.prompt(asked("?")), done(events).message.ids or ()
        logprobs = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(dim=-1)
        for token, row in zip(tokens(events), logprobs, strict=True):
            assert token.logprob == pytest.approx(row[token.id].item(), abs=1e-4)

    def test_the_next_turn_reuses_the_result(self, tiny_template: ChatTemplate) -> None:
        call = self.ids(tiny_template, "12*34")
        model = scripted(tiny_template, script(tiny_template.control.assistant_start, *call))
        engine = engine_of(model, tiny_template)
        first = done(engine.stream(asked("?"), GREEDY))
        second = done(engine.stream(asked("?").append(first.message).append(Message("user", "!")), GREEDY))
        assert second.reused_tokens == first.context_tokens

    def test_what_it_does_not_compute_forces_nothing(self, tiny_template: ChatTemplate) -> None:
        call = self.ids(tiny_template, "open")
        model = scripted(tiny_template, script(tiny_template.control.assistant_start, *call))
        events = list(engine_of(model, tiny_template).stream(asked("?"), GREEDY))
        assert ToolResult("open", None) in events
        assert done(events).message.ids == tuple(call)
        assert not any(token.forced for token in tokens(events))

    @pytest.mark.parametrize("max_tokens", range(1, 13))
    def test_a_cut_answer_goes_on_as_if_it_had_not_been_cut(self, tiny_template: ChatTemplate, max_tokens: int) -> None:
        control = tiny_template.control
        call = self.ids(tiny_template, "12*34", before="It")
        after = tiny_template.encode("!")
        model = scripted(tiny_template, script(control.assistant_start, *call) | script(control.output_end, *after))
        whole = done(engine_of(model, tiny_template).stream(asked("?"), GREEDY)).message
        assert whole.ids == (*call, *self.forced(tiny_template, "408"), *after)
        engine = engine_of(model, tiny_template)
        cut = done(engine.stream(asked("?"), SamplingSettings(temperature=0, max_tokens=max_tokens)))
        assert cut.completion_tokens <= max_tokens
        rest = done(engine.stream(asked("?").append(cut.message), GREEDY))
        assert rest.message == whole
        assert rest.completion_tokens == len(whole.ids) - cut.completion_tokens
        assert rest.reused_tokens >= cut.context_tokens - 1


def test_an_answer_continues_from_its_exact_ids(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    whole = done(engine_of(tiny_model, tiny_template).stream(asked("Hello!"), GREEDY)).message
    assert whole.ids
    engine = engine_of(tiny_model, tiny_template)
    message = done(engine.stream(asked("Hello!"), SamplingSettings(temperature=0, max_tokens=1))).message
    for _ in whole.ids[1:]:
        message = done(
            engine.stream(asked("Hello!").append(message), SamplingSettings(temperature=0, max_tokens=1))
        ).message
    assert message == whole


def test_a_reply_may_start_with_given_words(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    answer = done(engine_of(tiny_model, tiny_template).stream(asked("Hello!", "The fox"), GREEDY))
    assert answer.message.text.startswith("The fox")
    assert list(answer.message.ids or ())[: len(tiny_template.encode("The fox"))] == tiny_template.encode("The fox")


def test_max_tokens_ends_an_answer_as_length(tiny_template: ChatTemplate) -> None:
    letters = tiny_template.encode("ab")
    model = scripted(tiny_template, {tiny_template.control.assistant_start: letters[0]} | {letters[0]: letters[0]})
    answer = done(engine_of(model, tiny_template).stream(asked("?"), GREEDY))
    assert answer.finish_reason == "length"
    assert answer.completion_tokens == GREEDY.max_tokens


def test_the_context_ends_an_answer_as_length(tiny_template: ChatTemplate) -> None:
    (letter,) = tiny_template.encode("a")
    model = scripted(tiny_template, {tiny_template.control.assistant_start: letter, letter: letter}, context=64)
    answer = done(engine_of(model, tiny_template).stream(asked("b" * 50), SamplingSettings(max_tokens=4096, seed=0)))
    assert answer.finish_reason == "length"
    assert answer.context_tokens == answer.context_limit == 64


@pytest.mark.parametrize("name", ["assistant_end", "bos"])
def test_both_ends_stop_an_answer_and_stay_out_of_it(tiny_template: ChatTemplate, name: str) -> None:
    (letter,) = tiny_template.encode("a")
    end = getattr(tiny_template.control, name)
    model = scripted(tiny_template, script(tiny_template.control.assistant_start, letter, end))
    answer = done(engine_of(model, tiny_template).stream(asked("?"), GREEDY))
    assert (answer.finish_reason, answer.message.ids) == ("stop", (letter,))


def test_old_turns_are_forgotten_and_counted(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    engine = engine_of(tiny_model, tiny_template)
    chat = asked(*["A question of some words?", "An answer of some words."] * 20, "And now?")
    events = list(engine.stream(chat, GREEDY))
    started = events[0]
    assert isinstance(started, Started)
    assert 0 < started.dropped_turns < 20
    assert len(started.prompt_ids) <= engine.context - GREEDY.max_tokens
    kept = Conversation(chat.messages[2 * started.dropped_turns :])
    assert list(started.prompt_ids) == tiny_template.prompt(kept)


def test_a_long_last_turn_leaves_less_room_before_it_is_refused(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = engine_of(tiny_model, tiny_template, context=64)
    fits = asked("b" * 59)
    assert len(tiny_template.prompt(fits)) == 63
    assert done(engine.stream(fits, GREEDY)).context_tokens <= 64
    with pytest.raises(ContextFullError, match="reads 63"):
        list(engine.stream(asked("b" * 60), GREEDY))
    assert engine.live_requests == 0


def test_a_capture_sees_the_logits_of_every_token(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    class Kept:
        def __init__(self) -> None:
            self.rows: list[tuple[int, torch.Tensor]] = []

        def token(self, token_id: int, logits: torch.Tensor) -> None:
            self.rows.append((token_id, logits.clone()))

    kept = Kept()
    events = list(engine_of(tiny_model, tiny_template).stream(asked("Hello!"), SAMPLED, capture=kept))
    assert [token_id for token_id, _ in kept.rows] == [token.id for token in tokens(events)]
    for token, (token_id, row) in zip(tokens(events), kept.rows, strict=True):
        assert row.log_softmax(dim=0)[token_id].item() == pytest.approx(token.logprob, abs=1e-5)


def test_a_tokenizer_larger_than_the_model_is_refused(tiny_template: ChatTemplate) -> None:
    model = scripted(tiny_template, {})
    model.config.vocab_size -= 1
    with pytest.raises(CheckpointError, match="do not belong together"):
        engine_of(model, tiny_template)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"slots": 0}, "slots"),
        ({"queue": -1}, "queue"),
        ({"requests_per_session": 0}, "requests_per_session"),
        ({"deadline_seconds": 0.0}, "deadline_seconds"),
        ({"deadline_seconds": float("nan")}, "deadline_seconds"),
        ({"prefill_chunk_tokens": 0}, "prefill_chunk_tokens"),
        ({"events_ahead": 0}, "events_ahead"),
        ({"context": 1}, "context"),
    ],
)
def test_limits_that_let_nobody_in_are_refused(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, limits: dict[str, float], name: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        engine_of(tiny_model, tiny_template, **limits)


def test_ids_of_another_vocabulary_are_refused(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    foreign = Message("assistant", "Hello.", ids=(tiny_template.vocab_size,))
    chat = asked("Hi").append(foreign).append(Message("user", "And?"))
    with pytest.raises(InvalidMessageError, match="another vocabulary"):
        list(engine_of(tiny_model, tiny_template).stream(chat, GREEDY))


def test_every_step_of_every_engine_is_made_in_one_thread_whoever_reads(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engines = [engine_of(tiny_model, tiny_template, slots=2) for _ in range(2)]
    seen: list[int] = []

    class Watching:
        def token(self, token_id: int, logits: torch.Tensor) -> None:
            seen.append(threading.get_ident())

    def read(number: int) -> int:
        list(engines[number % 2].stream(asked("Hello"), GREEDY, capture=Watching()))
        return threading.get_ident()

    with ThreadPoolExecutor(3) as readers:
        idents = {*readers.map(read, range(6)), read(0)}
    assert len(set(seen)) == 1
    assert not idents & set(seen)
