"""What goes wrong with one request stays with that request: cancels, bad numbers, slow readers, a full house."""

from __future__ import annotations

import gc
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import torch

from nanochat import NanoChatForCausalLM
from nanochat.chat import requests
from nanochat.chat.conversation import Message
from nanochat.chat.engine import LocalEngine
from nanochat.chat.events import Event, Queued, Started, Token, ToolResult
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BusyError, ModelOutputError
from nanochat.model.threads import in_step_thread
from tests.chat.engines import GREEDY, asked, done, engine_of, in_turn, script, scripted, tokens

CHAT = asked("What is the capital of France?")
OTHER = asked("The fox ran")
LONG = SamplingSettings(temperature=0, max_tokens=4096, seed=0)


@pytest.fixture
def answers(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> tuple[Message, Message]:
    """What CHAT and OTHER are answered when nothing goes wrong."""
    engine = engine_of(tiny_model, tiny_template)
    return done(engine.stream(CHAT, GREEDY)).message, done(engine.stream(OTHER, GREEDY)).message


@pytest.fixture
def endless(tiny_template: ChatTemplate) -> NanoChatForCausalLM:
    """A model that says the same letter for ever."""
    (letter,) = tiny_template.encode("a")
    return scripted(tiny_template, {tiny_template.control.assistant_start: letter, letter: letter}, context=512)


def read(stream: Iterator[Event], count: int) -> list[Event]:
    return list(islice(stream, count))


def idle(engine: LocalEngine) -> bool:
    return engine.live_requests == 0 and not any(slot.busy for slot in engine.cache.slots)


class TestCancel:
    def test_at_every_step_it_gives_everything_back(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        engine = engine_of(tiny_model, tiny_template, slots=1, prefill_chunk_tokens=3)
        threads = threading.active_count()
        for count in range(len(list(engine.stream(CHAT, GREEDY)))):
            stream = engine.stream(CHAT, GREEDY)
            read(stream, count)
            stream.close()
            assert idle(engine)
        assert threading.active_count() == threads
        assert done(engine.stream(CHAT, GREEDY)).message == answers[0]

    def test_the_others_finish_unchanged(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        for count in range(1, 14, 4):
            engine = engine_of(tiny_model, tiny_template, prefill_chunk_tokens=5)
            staying, leaving = engine.stream(CHAT, GREEDY), engine.stream(OTHER, GREEDY)
            read(leaving, count)
            next(staying)
            leaving.close()
            assert done(staying).message == answers[0]
            assert idle(engine)

    def test_while_it_waits_in_the_queue(self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
        engine = engine_of(endless, tiny_template, slots=1)
        running, waiting = engine.stream(CHAT, LONG), engine.stream(OTHER, LONG)
        next(running)
        assert next(waiting) == Queued(1)
        waiting.close()
        assert engine.live_requests == 1
        running.close()
        assert idle(engine)

    def test_during_a_step_that_another_reader_runs(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        engine = engine_of(tiny_model, tiny_template)
        staying, leaving = engine.stream(CHAT, GREEDY), engine.stream(OTHER, GREEDY)
        next(leaving)
        next(staying)

        def leave(*_: object) -> None:
            hook.remove()
            leaving.close()
            assert engine.live_requests == 1
            left.append(leaving)

        left: list[Iterator[Event]] = []

        hook = tiny_model.model.embed_tokens.register_forward_pre_hook(leave)
        assert done(staying).message == answers[0]
        assert left == [leaving]
        assert idle(engine)

    def test_five_hundred_leave_no_thread_and_no_memory(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(tiny_model, tiny_template, slots=2)
        in_step_thread(gc.collect)
        threads = threading.active_count()

        def cancel(times: int) -> None:
            for number in range(times):
                stream = engine.stream(CHAT, GREEDY)
                read(stream, number % 5)
                # Half are closed, half are dropped, as when a visitor's connection goes.
                if number % 2:
                    stream.close()
                del stream

        tracemalloc.start()
        cancel(100)  # whatever is kept once is kept by now
        # The last step ends before: it holds its requests.
        in_step_thread(gc.collect)
        before, _ = tracemalloc.get_traced_memory()
        cancel(400)
        in_step_thread(gc.collect)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert after - before < 50_000
        assert idle(engine)
        assert threading.active_count() == threads


class TestErrors:
    @pytest.fixture
    def poisoned(self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> Iterator[NanoChatForCausalLM]:
        """A model in which one letter has no finite embedding."""
        (letter,) = tiny_template.encode("Z")
        weight = tiny_model.model.embed_tokens.weight
        row = weight[letter].clone()
        with torch.no_grad():
            weight[letter] = float("nan")
            yield tiny_model
            weight[letter] = row

    def test_numbers_that_are_not_finite_concern_one_request(
        self, poisoned: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        engine = engine_of(poisoned, tiny_template)
        first, bad, second = (
            engine.stream(CHAT, GREEDY),
            engine.stream(asked("Z"), GREEDY),
            engine.stream(OTHER, GREEDY),
        )
        read(first, 4)
        next(second)
        with pytest.raises(ModelOutputError, match="not finite"):
            list(bad)
        assert [done(events).message for events in in_turn(first, second)] == list(answers)
        assert idle(engine)

    def test_nothing_that_was_read_wrongly_is_reused(
        self, poisoned: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(poisoned, tiny_template, slots=1)
        for _ in range(2):
            with pytest.raises(ModelOutputError):
                list(engine.stream(asked("Hello Z"), GREEDY))
            assert engine.cache.slots[0].ids == []

    def test_a_pass_that_fails_is_found_to_be_one_requests_fault(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        (letter,) = tiny_template.encode("Z")

        def refuse(_: object, inputs: tuple[torch.Tensor]) -> None:
            if (inputs[0] == letter).any():
                raise RuntimeError("this id cannot be read")

        engine = engine_of(tiny_model, tiny_template)
        hook = tiny_model.model.embed_tokens.register_forward_pre_hook(refuse)
        try:
            first, bad, second = (engine.stream(chat, GREEDY) for chat in (CHAT, asked("Z"), OTHER))
            for stream in (first, second, bad):
                next(stream)
            with pytest.raises(RuntimeError, match="cannot be read"):
                list(bad)
            assert [done(events).message for events in in_turn(first, second)] == list(answers)
        finally:
            hook.remove()
        assert idle(engine)

    @pytest.mark.parametrize("at", [0, 1, 5])
    def test_a_capture_that_raises_ends_its_own_request(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message], at: int
    ) -> None:
        class Broken:
            calls = 0

            def token(self, token_id: int, logits: torch.Tensor) -> None:
                self.calls += 1
                if self.calls > at:
                    raise KeyError("lens")

        engine = engine_of(tiny_model, tiny_template)
        good, bad = engine.stream(CHAT, GREEDY), engine.stream(OTHER, GREEDY, capture=Broken())
        next(good)
        events = []
        with pytest.raises(KeyError, match="lens"):
            events += iter(bad)
        assert done(good).message == answers[0]
        assert idle(engine)

    @pytest.mark.parametrize("output", ["9" * 10_000, "8" * 600])
    def test_a_tool_that_says_too_much_is_taken_as_silent(
        self, tiny_template: ChatTemplate, monkeypatch: pytest.MonkeyPatch, output: str
    ) -> None:
        monkeypatch.setattr(requests, "calculate", lambda expression: output)
        control = tiny_template.control
        call = [control.python_start, *tiny_template.encode("12"), control.python_end]
        model = scripted(tiny_template, script(control.assistant_start, *call), context=4096)
        events = list(engine_of(model, tiny_template).stream(asked("?"), LONG))
        assert ToolResult("12", None) in events
        assert done(events).message.ids == tuple(call)

    def test_a_tool_that_raises_ends_its_own_request(
        self, tiny_template: ChatTemplate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(expression: str) -> str:
            raise ZeroDivisionError(expression)

        control = tiny_template.control
        call = [control.python_start, *tiny_template.encode("12"), control.python_end]
        model = scripted(tiny_template, script(control.assistant_start, *call))
        engine = engine_of(model, tiny_template)
        whole = done(engine.stream(asked("?", "a"), GREEDY)).message
        monkeypatch.setattr(requests, "calculate", fail)
        good, bad = engine.stream(asked("?", "a"), GREEDY), engine.stream(asked("?"), GREEDY)
        next(good)
        with pytest.raises(ZeroDivisionError):
            list(bad)
        assert done(good).message == whole
        assert idle(engine)


class TestSlowReaders:
    def test_a_reader_that_stops_holds_nobody_up_and_fills_no_memory(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, slots=2, events_ahead=4, context=96)
        stopped = engine.stream(CHAT, LONG)
        next(stopped)
        other = list(engine.stream(OTHER, LONG))
        assert done(other).finish_reason == "length"
        slot = next(slot for slot in engine.cache.slots if slot.busy)
        prompt = tiny_template.prompt(CHAT)
        assert len(slot.ids) <= len(prompt) + 8
        # When it reads on, nothing is missing.
        assert done(stopped).context_tokens == engine.context
        assert idle(engine)

    def test_its_slot_is_free_again_at_the_deadline(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, slots=1, events_ahead=2)
        stopped = engine.stream(CHAT, LONG, deadline_seconds=0.5)
        next(stopped)
        # Without that deadline this request would wait for ever.
        assert done(engine.stream(OTHER, GREEDY)).finish_reason == "length"
        assert done(stopped).finish_reason == "deadline"

    def test_a_wait_says_something_every_moment(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, slots=1, events_ahead=2)
        running, waiting = engine.stream(CHAT, LONG), engine.stream(OTHER, LONG)
        next(running)
        for _ in range(3):
            started = time.monotonic()
            assert next(waiting) == Queued(1)
            assert time.monotonic() - started < 2  # 0.1 s on a machine that has nothing else to do
        running.close()
        assert isinstance(next(waiting), Started)
        waiting.close()


class TestFullHouse:
    def test_the_queue_has_an_end(self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
        engine = engine_of(endless, tiny_template, slots=1, queue=2)
        streams = [engine.stream(CHAT, LONG) for _ in range(4)]
        for stream in streams[:3]:
            next(stream)
        with pytest.raises(BusyError, match="All 3 places are taken"):
            next(streams[3])
        assert engine.live_requests == 3
        for stream in streams:
            stream.close()
        assert idle(engine)

    def test_a_session_has_its_share(self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
        engine = engine_of(endless, tiny_template, requests_per_session=2)
        mine = [engine.stream(CHAT, LONG, session="me") for _ in range(3)]
        next(mine[0])
        next(mine[1])
        with pytest.raises(BusyError, match="At most 2 answers"):
            next(mine[2])
        yours = engine.stream(CHAT, LONG, session="you")
        next(yours)
        mine[0].close()
        again = engine.stream(CHAT, LONG, session="me")
        next(again)
        for stream in (*mine, again, yours):
            stream.close()
        assert idle(engine)

    def test_callers_without_a_session_share_no_limit(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, requests_per_session=1)
        streams = [engine.stream(CHAT, LONG) for _ in range(3)]
        assert all(isinstance(next(stream), Started) for stream in streams)
        for stream in streams:
            stream.close()

    def test_the_queue_is_served_in_its_order(self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
        engine = engine_of(endless, tiny_template, slots=1, events_ahead=1)
        running, first, second = (engine.stream(CHAT, LONG) for _ in range(3))
        next(running)
        assert next(first) == Queued(1)
        assert next(second) == Queued(2)
        running.close()
        assert isinstance(next(first), Started)
        assert next(second) == Queued(1)
        for stream in (first, second):
            stream.close()


class TestDeadline:
    def test_it_ends_an_answer_with_what_there_is(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, deadline_seconds=0.5)
        stream = engine.stream(CHAT, LONG)
        events = read(stream, 4)
        time.sleep(0.6)
        events += stream
        assert done(events).finish_reason == "deadline"
        assert done(events).message.ids == tuple(token.id for token in tokens(events))
        assert idle(engine)

    def test_a_wait_beyond_it_ends_in_a_sentence(
        self, endless: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        engine = engine_of(endless, tiny_template, slots=1, events_ahead=1)
        running = engine.stream(CHAT, LONG)
        next(running)
        waiting = engine.stream(OTHER, LONG, deadline_seconds=0.2)
        with pytest.raises(BusyError, match="No place became free"):
            list(waiting)
        running.close()
        assert idle(engine)


class TestThreads:
    def test_eight_readers_at_once_get_what_each_gets_alone(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
    ) -> None:
        chats = [asked(f"{word} fox?") for word in ("A", "The", "My", "Your", "No", "One", "Which", "Any")]
        alone = [done(engine_of(tiny_model, tiny_template).stream(chat, GREEDY)).message for chat in chats]
        engine = engine_of(tiny_model, tiny_template, slots=3, prefill_chunk_tokens=8)

        def visit(place: int) -> list[Message]:
            chance = random.Random(place)
            messages = []
            for _ in range(4):
                stream = engine.stream(chats[place], GREEDY, session=str(place))
                if chance.random() < 0.4:
                    read(stream, chance.randrange(1, 9))
                    stream.close()
                else:
                    messages.append(done(stream).message)
            return messages

        with ThreadPoolExecutor(8) as pool:
            for place, messages in enumerate(pool.map(visit, range(8))):
                assert all(message == alone[place] for message in messages)
        assert idle(engine)

    def test_each_event_may_be_read_on_another_thread(
        self, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answers: tuple[Message, Message]
    ) -> None:
        stream = engine_of(tiny_model, tiny_template).stream(CHAT, GREEDY)
        events: list[Event] = []

        def elsewhere(act: Callable[[], None]) -> None:
            thread = threading.Thread(target=act)
            thread.start()
            thread.join()

        while not events or not hasattr(events[-1], "finish_reason"):
            elsewhere(lambda: events.append(next(stream)))
        assert done(events).message == answers[0]
        assert torch.is_inference_mode_enabled() is False
        assert any(isinstance(event, Token) for event in events)
