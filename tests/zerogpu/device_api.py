"""ZeroGPU's device API without a GPU: it lends slots, queues, refuses, and ends what runs too long.

The `spaces` package asks this API for a GPU before each decorated call (`/schedule`), introduces each new worker
process (`/allow`) and hands the GPU back (`/release`). The real service also kills workers, so this one does. What it
answers can be scripted, and everything it was asked is kept in `calls`.

Source: spaces 0.51.3, zero/api.py and zero/client.py.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import psutil

QUEUE_FAILS = "queue fails"
QUEUE_BREAKS = "queue breaks"


@dataclass(frozen=True)
class Call:
    """One request to the API: its path without the slash, and its query."""

    path: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """A scripted answer to one /schedule instead of a GPU."""

    status: int
    body: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Slot:
    """One GPU: who has it now, and the worker process that keeps it warm."""

    index: int
    token: str | None = None
    worker: psutil.Process | None = None
    timer: threading.Timer | None = None

    @property
    def warm(self) -> bool:
        return self.worker is not None and is_alive(self.worker)

    def granted(self) -> dict[str, object]:
        uuid = f"GPU-{self.index}"
        return {"idle": self.warm, "nvidiaIndex": self.index, "nvidiaUUID": uuid, "allowToken": self.token}


class DeviceAPI:
    """The service and its script. Use it as a context manager; `close` kills every worker it has met."""

    def __init__(self, slots: int = 2) -> None:
        self.calls: list[Call] = []
        self.workers: list[psutil.Process] = []
        self.kill_after_seconds: float | None = None
        self.most_at_once = 0
        self._slots = [Slot(index) for index in range(slots)]
        self._script: deque[Refusal | str] = deque()
        self._held = False
        self._waiting = 0
        self._numbers = itertools.count(1)
        self._change = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer_next(self, answer: Refusal | Literal["queue fails", "queue breaks"]) -> None:
        """Answer the next /schedule with this instead of a GPU."""
        self._script.append(answer)

    @contextmanager
    def all_taken(self) -> Iterator[None]:
        """Within the block no slot is free: whoever asks waits in the queue."""
        self._held = True
        try:
            yield
        finally:
            with self._change:
                self._held = False
                self._change.notify_all()

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    def running(self) -> int:
        return sum(slot.token is not None for slot in self._slots)

    def reset(self) -> None:
        """Forget the calls and the script; workers stay warm."""
        self.calls.clear()
        self._script.clear()
        self.kill_after_seconds = None
        self.most_at_once = 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for slot in self._slots:
            if slot.timer:
                slot.timer.cancel()
        for worker in self.workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    # What follows answers the requests; it runs on the server's threads.

    def scripted(self) -> Refusal | str | None:
        return self._script.popleft() if self._script else None

    def take_slot(self, duration_seconds: int, patience_seconds: float = 0.0) -> dict[str, object] | None:
        """Lend a free slot, a warm one first; None when none is free for so long."""
        with self._change:
            self._waiting += 1
            free = self._change.wait_for(self._free_slots, patience_seconds)
            self._waiting -= 1
            if not free:
                return None
            slot = max(free, key=lambda candidate: candidate.warm)
            slot.token = f"token-{next(self._numbers)}"
            slot.timer = threading.Timer(self.kill_after_seconds or duration_seconds, self._expire, (slot, slot.token))
            slot.timer.daemon = True
            slot.timer.start()
            self.most_at_once = max(self.most_at_once, self.running())
            return slot.granted()

    def allow(self, token: str, pid: int) -> int:
        slot = self._slot_of(token)
        if slot is None:
            return 404
        slot.worker = psutil.Process(pid)
        self.workers.append(slot.worker)
        return 200

    def release(self, token: str, fail: bool) -> int:
        slot = self._slot_of(token)
        if slot is None:
            return 404
        self._give_up(slot, kill=fail)
        return 200

    def queue_size(self) -> int:
        return self._waiting

    def _free_slots(self) -> list[Slot]:
        return [] if self._held else [slot for slot in self._slots if slot.token is None]

    def _slot_of(self, token: str) -> Slot | None:
        return next((slot for slot in self._slots if slot.token == token), None)

    def _expire(self, slot: Slot, token: str) -> None:
        if slot.token == token:
            self._give_up(slot, kill=True)

    def _give_up(self, slot: Slot, *, kill: bool) -> None:
        with self._change:
            if slot.timer:
                slot.timer.cancel()
            if kill and slot.worker:
                with suppress(psutil.NoSuchProcess):
                    slot.worker.kill()
                slot.worker = None
            slot.token = None
            self._change.notify_all()


def is_alive(process: psutil.Process) -> bool:
    """Tell a running process from one that ended, also when nobody has collected its exit status yet."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _handler(api: DeviceAPI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = self._note()
            if call.path == "schedule":
                self._schedule(int(call.query["durationSeconds"]))
            elif call.path == "allow":
                self._answer(api.allow(call.query["allowToken"], int(call.query["pid"])))
            elif call.path == "release":
                self._answer(api.release(call.query["allowToken"], call.query["fail"] == "true"))
            else:
                self._answer(200 if call.path == "startup-report" else 404)

        def do_GET(self) -> None:
            self._answer(200 if self._note().path == "queue-size" else 404, api.queue_size())

        def log_message(self, *_: object) -> None:
            """Say nothing: `calls` holds it all."""

        def _note(self) -> Call:
            parts = urlsplit(self.path)
            call = Call(parts.path.strip("/"), dict(parse_qsl(parts.query)))
            api.calls.append(call)
            return call

        def _schedule(self, duration_seconds: int) -> None:
            scripted = api.scripted()
            if isinstance(scripted, Refusal):
                self._answer(scripted.status, scripted.body, scripted.headers)
            elif scripted is not None:
                self._open_queue()
                self._event("event: ping" if scripted == QUEUE_BREAKS else "event: failed")
                self._close_queue(cleanly=scripted == QUEUE_FAILS)
            elif granted := api.take_slot(duration_seconds):
                self._answer(200, granted)
            else:
                self._queue(duration_seconds)

        def _queue(self, duration_seconds: int) -> None:
            self._open_queue()
            # The pinging ends with an error when the one who waits hangs up.
            with suppress(BrokenPipeError, ConnectionResetError):
                while not (granted := api.take_slot(duration_seconds, patience_seconds=0.1)):
                    self._event("event: ping")
                self._event(f"event: succeeded\ndata: {json.dumps(granted)}")
                self._close_queue()

        def _open_queue(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("X-Queuing-Reason", "concurrency")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def _event(self, text: str) -> None:
            chunk = f"{text}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            # The client reads one event a chunk: two written at once could arrive as one.
            time.sleep(0.02)

        def _close_queue(self, *, cleanly: bool = True) -> None:
            if cleanly:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def _answer(self, status: int, body: object = None, headers: Mapping[str, str] | None = None) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
