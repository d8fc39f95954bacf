"""The page as a visitor has it: `python app.py` in a process of its own, called over HTTP by Gradio's client."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile

import httpx
from gradio_client import Client

from nanochat.bench.pairs import Progress, in_turns
from nanochat.bench.programs import HOUSE, last_words
from nanochat.bench.questions import WORDS
from nanochat.bench.subjects import Shape
from nanochat.bench.table import Row, alone, compared
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import LocalEngine
from nanochat.chat.events import Done, Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BenchError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.packing import pack
from nanochat.model.threads import apart
from nanochat.settings import environment_for

APP = (sys.executable, "app.py")
HTTP_GOAL_SECONDS = 12.0
CHAT_GOAL_SECONDS = 15.0
# What the page delivers of the engine's speed.
PAGE_GOAL = 0.85
LONGEST_START_SECONDS = 120.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Told:
    """An answer as its reader saw it: seconds from the question to the first words and to the last. The page tells no
    number of tokens.
    """

    text: str
    tokens: int
    first_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the program to its first page, and to the first words of its first chat."""

    http_seconds: float
    chat_seconds: float


def page_rows(shape: Shape, device: str, rounds: int, progress: Progress) -> list[Row]:
    """Start the page several times, then chat with it, beside an engine in this process."""
    source = shape.source or shape.name
    starts = in_turns({"python app.py": lambda _: started(source, device)}, rounds, progress)["python app.py"]
    return [*rows_of_starts(shape.name, starts), *chat_rows(shape, device, rounds, progress)]


def rows_of_starts(name: str, starts: Sequence[Start]) -> list[Row]:
    """Return the rows of how soon the program is of use."""
    http, chat = [start.http_seconds for start in starts], [start.chat_seconds for start in starts]
    return [
        alone((name, "python app.py to first page", "s"), http, most=HTTP_GOAL_SECONDS),
        alone((name, "python app.py to first words of a chat", "s"), chat, most=CHAT_GOAL_SECONDS),
    ]


def chat_rows(shape: Shape, device: str, rounds: int, progress: Progress) -> list[Row]:
    """Chat with one page, beside an engine in this process. Raises BenchError."""
    source = shape.source or shape.name
    engine = _engine(source, device)
    tokens = shape.answer_tokens
    with running(source, device) as url:
        client = Client(url, verbose=False)
        sides: dict[str, Callable[[int], Told]] = {
            "/chat": lambda number: told_by_page(client, story(number), tokens),
            "engine": lambda number: told_by_engine(engine, story(number), tokens),
        }
        # One of these answers is over in half a second: there are as many as there are questions.
        found = in_turns(sides, max(rounds, len(WORDS) - 1), progress)
    return rows_of_chat(shape.name, found["/chat"], found["engine"])


@apart
def _engine(source: str, device: str) -> LocalEngine:
    checkpoint = load_checkpoint(source, device=device, quantize="auto")
    pack(checkpoint.model)
    return LocalEngine(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer))


def started(source: str, device: str) -> Start:
    """Start the page, open it and ask something."""
    begun = time.perf_counter()
    with running(source, device) as url:
        http = time.perf_counter() - begun
        client = Client(url, verbose=False)
        asked = time.perf_counter() - begun
        return Start(http, asked + told_by_page(client, "Hello!", 8).first_seconds)


def rows_of_chat(name: str, page: Sequence[Told], engine: Sequence[Told]) -> list[Row]:
    """Return the page's speed beside the engine's: while words come, and from the question to the last word.

    Raises BenchError when the two did not say the same.
    """
    if [told.text for told in page] != [told.text for told in engine]:
        raise BenchError("The page answered otherwise than the engine: their speeds cannot be compared.")
    tokens = [told.tokens for told in engine]
    rows = []
    for figure, skipped in (("/chat while words come", 1), ("/chat from question to last word", 0)):
        speeds = [
            [
                (count - skipped) / (told.seconds - skipped * told.first_seconds)
                for count, told in zip(tokens, side, strict=True)
            ]
            for side in (page, engine)
        ]
        goal = PAGE_GOAL if skipped else None
        rows.append(compared((name, figure, "tok/s"), speeds[0], "ours, no page", speeds[1], least_ratio=goal))
    first = [[told.first_seconds for told in side] for side in (page, engine)]
    rows.append(compared((name, "/chat to first words", "s"), first[0], "ours, no page", first[1], less_is_better=True))
    return rows


def told_by_page(client: Client, words: str, tokens: int) -> Told:
    """Ask `/chat` in a session of its own."""
    client.reset_session()
    asked = time.perf_counter()
    updates = [
        (text, time.perf_counter() - asked)
        for text in client.submit(words, temperature=0, max_tokens=tokens, api_name="/chat")
    ]
    said = [seconds for text, seconds in updates if text]
    if not said:
        raise BenchError("The page gave no answer.")
    return Told(updates[-1][0], 0, said[0], said[-1])


def told_by_engine(engine: LocalEngine, words: str, tokens: int) -> Told:
    """Ask the engine with nothing between."""
    settings = SamplingSettings(temperature=0, max_tokens=tokens, seed=0)
    asked = time.perf_counter()
    said = []
    message = None
    for event in engine.stream(Conversation((Message("user", words),)), settings):
        if isinstance(event, Token):
            said.append(time.perf_counter() - asked)
        elif isinstance(event, Done):
            message = event.message
    if message is None or not said:
        raise BenchError("The engine gave no answer.")
    return Told(message.text, len(said), said[0], said[-1])


@contextmanager
def running(source: str, device: str, command: Sequence[str] = APP) -> Iterator[str]:
    """Run a page until the block ends and yield its address, once it has answered there. Raises BenchError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = environment_for(
        GRADIO_SERVER_PORT=str(port), NANOCHAT_MODEL=source, NANOCHAT_DEVICE=device, HF_HUB_OFFLINE="1"
    )
    with TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=HOUSE, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _answered(url, process):
                log.seek(0)
                raise BenchError(f"The page did not start: {last_words(log.read().decode(errors='replace'))}")
            yield url
        finally:
            process.terminate()
            process.wait()


def _answered(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the first page; return whether it came before the program ended."""
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=LONGEST_START_SECONDS).is_success:
                return True
        time.sleep(LOOK_SECONDS)
    return False


def story(number: int) -> str:
    """Return a request whose answer is long, another one for each round."""
    return f"Tell me a long story about a {WORDS[number % len(WORDS)]}."
