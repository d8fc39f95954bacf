"""A Space that runs as on ZeroGPU, in a process of its own, against a device API that the test holds in its hand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.client import Job

from tests.serving import Server, program
from tests.zerogpu.device_api import DeviceAPI

# What the engine believes of the GPU: cold start in seconds, tokens a second read and written. Slow enough that a busy
# machine keeps up with it, or so fast that a slow model meets its deadline within a test.
PATIENT = (5.0, 2000.0, 20.0)
HURRIED = (0.5, 2000.0, 100.0)
Events = list[dict[str, Any]]


class Space:
    """A running Space, and the file that makes its model slow or broken."""

    def __init__(self, server: Server, mishap: Path) -> None:
        self.url = server.url
        self.process = server.process
        self._mishap = mishap

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


@contextmanager
def space_of(script: str, model: Path, api: DeviceAPI, folder: Path, **variables: str) -> Iterator[Space]:
    """Run a script as a Space on ZeroGPU until the block ends."""
    mishap = folder / "mishap"
    mishap.write_text("")
    variables |= {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": api.url,
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "SPACE_TEST_MISHAP": str(mishap),
        "NANOCHAT_MODEL": str(model),
        "GRADIO_ANALYTICS_ENABLED": "False",
        # A forked worker must not wait for threads that only main has.
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, "-m", "tests.zerogpu.run_space", script]
    with program(command, folder / "log", None, variables) as server:
        yield Space(server, mishap)


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
    folder = tmp_path_factory.mktemp("space")
    with space_of("tests/zerogpu/small_space.py", tiny_checkpoint, shared_api, folder) as space:
        yield space


@pytest.fixture(scope="module")
def visitor(space: Space) -> Client:
    return space.visitor()
