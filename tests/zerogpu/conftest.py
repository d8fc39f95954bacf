"""A Space that runs as on ZeroGPU, in a process of its own, against a device API that the test holds in its hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.client import Job

from tests.zerogpu.device_api import DeviceAPI

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
# What the engine believes of the GPU: cold start in seconds, tokens a second read and written. Slow enough that a busy
# machine keeps up with it, or so fast that a slow model meets its deadline within a test.
PATIENT = (5.0, 2000.0, 20.0)
HURRIED = (0.5, 2000.0, 100.0)
Events = list[dict[str, Any]]


class Space:
    """One running Space: its process, its address, and the file that makes its model slow or broken."""

    def __init__(self, script: str, model: Path, api: DeviceAPI, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._mishap = folder / "mishap"
        self._mishap.write_text("")
        self.log = folder / "log"
        environment = os.environ | {
            "SPACES_ZERO_GPU": "true",
            "SPACES_ZERO_DEVICE_API_URL": api.url,
            "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
            "SPACE_TEST_MISHAP": str(self._mishap),
            "NANOCHAT_MODEL": str(model),
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            # A forked worker must not wait for threads that only main has.
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [sys.executable, "-m", "tests.zerogpu.run_space", script]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        patience = time.monotonic() + START_SECONDS
        while time.monotonic() < patience and self.process.poll() is None:
            try:
                httpx.get(f"{self.url}/config", timeout=5).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.3)
            else:
                return
        self.close()
        pytest.fail(f"The Space did not start:\n{self.log.read_text()[-4000:]}")

    @contextmanager
    def mishap(self, kind: str) -> Iterator[None]:
        """Within the block the model is "slow", "full" or "undefined"; see tests/zerogpu/run_space.py."""
        self._mishap.write_text(kind)
        try:
            yield
        finally:
            self._mishap.write_text("")

    def visitor(self, **headers: str) -> Client:
        return Client(self.url, verbose=False, headers=headers)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ask(visitor: Client, text: str, speed: tuple[float, ...] = PATIENT, **settings: object) -> Job:
    """Send one question to the small Space; what it streams are events. The tiny model never stops by itself here."""
    settings = {"temperature": 0, "seed": 1, "max_tokens": 20, **settings}
    return visitor.submit([{"role": "user", "content": text}], settings, list(speed), api_name="/events")


def events_of(job: Job) -> Events:
    """Return the events so far: all of them once `job.result()` has returned or raised."""
    return [json.loads(event) for event in job.outputs()]


@pytest.fixture(scope="module")
def shared_api() -> Iterator[DeviceAPI]:
    api = DeviceAPI(slots=2)
    yield api
    api.close()


@pytest.fixture
def api(shared_api: DeviceAPI) -> DeviceAPI:
    """The device API without a memory of earlier tests, all slots free."""
    patience = time.monotonic() + 20
    while shared_api.running() and time.monotonic() < patience:
        time.sleep(0.05)
    assert not shared_api.running(), "a GPU was not handed back"
    shared_api.reset()
    return shared_api


@pytest.fixture(scope="module")
def space(shared_api: DeviceAPI, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    space = Space("tests/zerogpu/small_space.py", tiny_checkpoint, shared_api, tmp_path_factory.mktemp("space"))
    yield space
    space.close()


@pytest.fixture(scope="module")
def visitor(space: Space) -> Client:
    return space.visitor()
