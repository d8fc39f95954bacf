"""Models from the Hugging Face Hub, by a client that can be given up on.

A Hub that accepts a connection and never answers holds its own client for minutes: some of its calls have no timeout,
others try again, and a large file comes through a library that keeps its own time. So the client runs as a process of
its own (download.py). It reports every piece that arrives; when it has been silent for too long it is killed, which
also gives back the locks it held in the cache, and the cache alone is asked.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import IO, Any

from nanochat.errors import CheckpointError
from nanochat.model.source import HubSource

# What is happening, in words, and how much of it is done, 0 to 1.
Progress = Callable[[str, float], None]

# A page promises an answer within 30 s: this silence, the start of the process and one look into the cache.
PATIENCE_SECONDS = 15.0
CLIENT = Path(__file__).with_name("download.py")


class UnusableHubError(CheckpointError):
    """The Hub is silent, or what answers in its place is something else. The cache may still have the model."""


def download(source: HubSource, files: list[str], progress: Progress, *, limit_bytes: int) -> Path:
    """Return the folder of the cache that holds those of `files` which the repository has, all of one commit.

    What is in the cache already is not fetched again, and is enough where there is no network.
    Raises CheckpointError: not found, not reachable, silent, larger than `limit_bytes`.
    """
    request = {"repository": source.repository, "revision": source.revision, "files": files}
    try:
        answer = _converse(source, {**request, "offline": False}, progress, limit_bytes)
    except UnusableHubError as unusable:
        answer = _converse(source, {**request, "offline": True}, progress, limit_bytes)
        if "error" in answer:
            raise unusable from None
    if "error" in answer:
        raise CheckpointError(f"it {answer['error']}.")
    return Path(answer["folder"])


def list_names(source: HubSource) -> list[str]:
    """Return the names of the files in the repository, none where the Hub does not tell."""
    request = {"repository": source.repository, "revision": source.revision, "offline": False}
    try:
        return list(_converse(source, {**request, "files": []}, lambda *_: None, 0).get("names", []))
    except CheckpointError:
        return []


def _converse(source: HubSource, request: dict[str, Any], progress: Progress, limit_bytes: int) -> dict[str, Any]:
    """Run the client to its last message and return it. Raises CheckpointError."""
    # -P keeps our folder, whose files have names such as cache.py, off the client's import path.
    command = [sys.executable, "-P", str(CLIENT), json.dumps(request)]
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        client = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, text=True
        )
        try:
            for message in _messages(client):
                if "total_bytes" in message:
                    _report(source, message, progress, limit_bytes)
                elif "unusable" in message:
                    raise UnusableHubError(message["unusable"])
                else:
                    return message
        finally:
            client.kill()
            client.wait()
        raise UnusableHubError(f"fetching it from the Hub failed ({_last_words(complaints)}): try again later.")


def _messages(client: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield what the client says, until it ends."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    stream = client.stdout
    if stream is None:
        raise ValueError("the client was started without a pipe")

    def listen() -> None:
        with stream:
            for line in stream:
                lines.put(line)
        lines.put("")

    Thread(target=listen, name="hub-client", daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise UnusableHubError(f"the Hub has sent nothing for {PATIENCE_SECONDS:.0f} s.") from None
        if not line:
            return
        yield json.loads(line)


def _report(source: HubSource, message: dict[str, int], progress: Progress, limit_bytes: int) -> None:
    done, total = message["done_bytes"], message["total_bytes"]
    if max(done, total) > limit_bytes:
        raise CheckpointError(
            f"its files have {max(done, total):,} bytes, more than the {limit_bytes:,} that its config.json explains."
        )
    size = f": {done / 1e6:,.1f} of {total / 1e6:,.1f} MB" if total else ""
    progress(f"Downloading {source.repository}{size}", min(done / total, 1.0) if total else 0.0)


def _last_words(complaints: IO[str]) -> str:
    """Return the kind of error a traceback ends with; its text may hold addresses and keys that are private."""
    complaints.seek(0)
    lines = complaints.read().strip().splitlines()
    kind = lines[-1].split(":")[0].split(".")[-1] if lines else "no reason given"
    return kind[:100]
