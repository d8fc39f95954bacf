"""A page in a process of its own, as a person would start it, on a port that is free."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent
# A busy machine takes a minute to import what a page needs.
START_SECONDS = 240


class Server:
    """One running program that serves a Gradio page; `log` holds what it prints."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        surroundings = os.environ | {
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=surroundings | environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_up()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_up(self) -> None:
        patience = time.monotonic() + START_SECONDS
        with httpx.Client(timeout=5) as client:
            while time.monotonic() < patience and self.process.poll() is None:
                try:
                    client.get(f"{self.url}/config").raise_for_status()
                except httpx.HTTPError:
                    time.sleep(0.3)
                else:
                    return
        self.close()
        pytest.fail(f"The page did not start:\n{self.log.read_text()[-4000:]}")
