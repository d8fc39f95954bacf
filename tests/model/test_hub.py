"""The Hub that refuses, stalls or serves rubbish, each played by a real server on this machine."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanochat.errors import CheckpointError
from nanochat.model import hub
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.source import HubSource
from tests.hub_server import COMMIT, HubServer
from tests.original import GOLDEN

NAME = "someone/tiny"


@pytest.fixture(autouse=True)
def an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return cache


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    with HubServer({NAME: tiny_checkpoint}, getattr(request, "param", "")) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture(scope="module")
def filled_cache(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache as a download left it. Shared: copy it."""
    cache = tmp_path_factory.mktemp("filled") / "cache"
    with HubServer({NAME: tiny_checkpoint}) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(cache))
        patch.setenv("HF_ENDPOINT", running.endpoint)
        load_checkpoint(NAME, device="cpu")
    return cache


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 4.0)


def refusal(source: str = NAME) -> str:
    """Load what cannot be loaded; return what a user is told, within the time the page promises."""
    started = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(source, device="cpu")
    assert time.monotonic() - started < 30
    text = str(refused.value)
    assert text.startswith(f"The model {source} cannot be loaded: ")
    assert "Traceback" not in text
    assert "\n" not in text
    return text


def test_a_model_is_fetched_whole_and_from_one_commit(server: HubServer) -> None:
    told: list[tuple[str, float]] = []
    loaded = load_checkpoint(NAME, device="cpu", progress=lambda text, fraction: told.append((text, fraction)))
    assert loaded.revision == COMMIT
    assert loaded.source == NAME
    # The branch is looked up once: it may move before the weights are fetched.
    assert server.requests.count(f"GET /api/models/{NAME}/revision/main") == 1
    assert all(COMMIT in line or "/api/" in line for line in server.requests)
    assert any(text.startswith(f"Downloading {NAME}: ") for text, _ in told)
    assert told[-1] == ("Ready", 1.0)
    assert all(0.0 <= fraction <= 1.0 for _, fraction in told)


def test_nothing_but_the_files_of_the_model_is_fetched(
    tiny_checkpoint: Path, tmp_path: Path, server: HubServer
) -> None:
    full = shutil.copytree(tiny_checkpoint, tmp_path / "full")
    for name in ("pytorch_model.bin", "modeling_evil.py", "model.fp16.safetensors"):
        (full / name).write_bytes(b"x")
    server.repositories[NAME] = full
    load_checkpoint(NAME, device="cpu")
    fetched = {line.rpartition("/")[2] for line in server.requests if line.startswith("GET") and "/resolve/" in line}
    assert fetched == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors",
    }


def test_a_revision_may_be_a_pull_request(server: HubServer) -> None:
    assert load_checkpoint(f"{NAME}@refs/pr/1", device="cpu").revision == COMMIT
    assert f"GET /api/models/{NAME}/revision/refs/pr/1" in server.requests


@pytest.mark.parametrize("server", ["silent", "page", "status:503"], indirect=True)
@pytest.mark.usefixtures("short_patience", "server")
def test_what_is_in_the_cache_needs_no_hub(filled_cache: Path, an_empty_cache: Path) -> None:
    shutil.copytree(filled_cache, an_empty_cache, symlinks=True)
    assert load_checkpoint(NAME, device="cpu").revision == COMMIT


def test_the_cache_alone_is_asked_where_the_environment_says_offline(
    filled_cache: Path, an_empty_cache: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(filled_cache, an_empty_cache, symlinks=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_checkpoint(NAME, device="cpu").revision == COMMIT
    assert "not in the cache of this machine" in refusal("someone/else")
    assert server.requests == []


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("page", "what answers in the Hub's place is not a Hub"),
        ("status:503", "the Hub answered with status 503"),
        ("gated", "accept its terms on its page on the Hub and set HF_TOKEN"),
        ("cut", "try again later"),
    ],
    indirect=["server"],
)
def test_a_hub_that_serves_rubbish_is_told_in_a_sentence(server: HubServer, told: str) -> None:
    assert told in refusal()


@pytest.mark.parametrize("server", ["silent"], indirect=True)
@pytest.mark.usefixtures("server")
def test_a_silent_hub_is_given_up_within_thirty_seconds() -> None:
    assert "the Hub has sent nothing for 15 s" in refusal()


def test_a_hub_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert "could not be reached (ConnectError)" in refusal()


@pytest.mark.usefixtures("server")
def test_a_model_or_revision_that_does_not_exist_is_told() -> None:
    assert "is not on the Hub, or it is private" in refusal("someone/else")
    assert "has no revision 'v9'" in refusal(f"{NAME}@v9")


@pytest.mark.usefixtures("short_patience")
def test_a_stalled_download_is_given_up_and_can_be_taken_up_again(server: HubServer) -> None:
    server.fault = "stall"
    assert "the Hub has sent nothing for 4 s" in refusal()
    # The client that was given up on held a lock on the half file; it went with the client.
    server.fault = ""
    assert load_checkpoint(NAME, device="cpu").revision == COMMIT


def test_a_flipped_bit_is_seen_and_the_next_load_fetches_again(server: HubServer) -> None:
    server.fault = "flip"
    assert "model.safetensors was damaged and is deleted from the cache" in refusal()
    server.fault = ""
    assert load_checkpoint(NAME, device="cpu").revision == COMMIT


@pytest.mark.parametrize("server", ["slow"], indirect=True)
@pytest.mark.usefixtures("server", "short_patience")
def test_a_slow_line_is_not_a_stall_and_shows_its_progress() -> None:
    told: list[float] = []
    load_checkpoint(
        NAME, device="cpu", progress=lambda text, fraction: told.append(fraction) if " of " in text else None
    )
    assert any(0.0 < fraction < 1.0 for fraction in told)


def test_a_run_of_the_original_on_the_hub_is_loaded(server: HubServer) -> None:
    server.repositories[NAME] = GOLDEN / "current-2026"
    assert load_checkpoint(NAME, device="cpu").model.config.smear
    assert not any("expected.safetensors" in line for line in server.requests)


def test_half_a_run_of_the_original_on_the_hub_is_refused_with_the_remedy(tmp_path: Path, server: HubServer) -> None:
    original = tmp_path / "original"
    original.mkdir()
    for name in ("model_000650.pt", "meta_000650.json"):
        (original / name).write_bytes(b"{}")
    server.repositories[NAME] = original
    assert "model_000650.pt is of a native karpathy/nanochat run, which needs" in refusal()
    assert not any(".pt" in line for line in server.requests)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("README.md", "This is not the folder of a model."),
        ("pytorch_model.bin", "pytorch_model.bin is a pickle, which runs code when it is loaded"),
    ],
)
def test_a_repository_without_a_model_is_told_by_what_it_has(
    name: str, told: str, tmp_path: Path, server: HubServer
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / name).write_bytes(b"{}")
    server.repositories[NAME] = other
    assert told in refusal()
    assert not any("/resolve/" in line for line in server.requests)


def test_weights_larger_than_the_config_explains_are_not_fetched(
    tiny_checkpoint: Path, tmp_path: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanochat.model.checkpoint.SMALL_BYTES", 100_000)
    padded = shutil.copytree(tiny_checkpoint, tmp_path / "padded")
    with (padded / "model.safetensors").open("ab") as file:
        file.write(bytes(3_000_000))
    server.repositories[NAME] = padded
    assert "more than the" in refusal()


def test_the_small_files_are_judged_before_the_weights_are_asked_for(
    tiny_checkpoint: Path, tmp_path: Path, server: HubServer
) -> None:
    foreign = shutil.copytree(tiny_checkpoint, tmp_path / "foreign")
    (foreign / "config.json").write_text('{"model_type": "llama"}')
    server.repositories[NAME] = foreign
    assert "a model of type 'llama', not nanochat" in refusal()
    assert not any("safetensors" in line for line in server.requests)


def test_no_process_is_left_behind(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = hub.subprocess.Popen
    monkeypatch.setattr(
        hub.subprocess, "Popen", lambda *args, **kwargs: started.append(popen(*args, **kwargs)) or started[-1]
    )
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 3.0)
    server.fault = "silent"
    with pytest.raises(CheckpointError):
        hub.download(HubSource(NAME), ["config.json"], lambda *_: None, limit_bytes=10**6)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)
