"""The real program in a process of its own, as somebody who typed `python app.py` has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
# A busy machine takes a minute to import what a page needs.
START_SECONDS = 240.0


@dataclass(frozen=True)
class Server:
    """A running app: where it listens, its process, and what it has printed."""

    url: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def app(log_file: Path, port: int | None = None, **settings: str) -> Iterator[Server]:
    """Run app.py with these NANOCHAT_ settings until the block ends."""
    variables = {f"NANOCHAT_{name.upper()}": value for name, value in settings.items()}
    with program([sys.executable, "app.py"], log_file, port, variables) as server:
        yield server


@contextmanager
def program(command: Sequence[str], log_file: Path, port: int | None, variables: Mapping[str, str]) -> Iterator[Server]:
    """Run a program that serves a page until the block ends, with these environment variables and none of the caller's
    settings.
    """
    port = port or free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NANOCHAT_", "GRADIO_"))}
    environment |= {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"} | variables
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            server = Server(f"http://127.0.0.1:{port}", log_file, process)
            _wait_for(server)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/gradio_api/startup-events", timeout=5).status_code < 500:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"The page did not start:\n{server.log}")
