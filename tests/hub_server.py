"""A Hugging Face Hub on this machine, in as much of its protocol as a download speaks; it can be told to misbehave.

    with HubServer({"someone/tiny": folder}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)

Model information, the listing of a commit and the files themselves, with the headers that the client relies on: the
commit, and the SHA-256 of large files as their ETag. Faults are the ones a network really has.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

PAGE = b"<!DOCTYPE html><html><body>Please sign in to the network</body></html>"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# From here on a file is kept apart and known by its SHA-256; the Hub decides by kind and size too.
LARGE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pkl")


class HubServer:
    """Serves folders as model repositories of one commit each, on `main`, on `refs/pr/1` and by the commit.

    fault: silent (accepts, never answers), stall (half of every large file), cut (closes the connection there, each
    time), flip (one bit of large files is wrong), page (answers everything with a web page), status:503 and the like,
    gated, slow (large files come in 20 pieces over six seconds). `requests` holds method and path of what was asked.
    """

    def __init__(self, repositories: dict[str, Path], fault: str = "") -> None:
        self.repositories = repositories
        self.fault = fault
        self.requests: list[str] = []
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[HubServer]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the tests' output clean; `requests` has it all."""

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        if hub.fault == "silent":
            hub.closing.wait()
            self.close_connection = True
        elif hub.fault == "page":
            self._send(200, PAGE, {"Content-Type": "text/html"})
        elif hub.fault.startswith("status:"):
            self._send(int(hub.fault.removeprefix("status:")), b"")
        elif hub.fault == "gated":
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif path.startswith("/api/models/"):
            self._answer_api(path.removeprefix("/api/models/"))
        elif path.startswith("/api/"):
            self._send(404, b"")
        else:
            self._answer_file(path)

    def _answer_api(self, path: str) -> None:
        name, _, rest = path.partition("/tree/") if "/tree/" in path else path.partition("/revision/")
        folder = self.hub.repositories.get(name)
        if folder is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif rest not in ("", "main", "refs/pr/1", COMMIT):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif "/tree/" in path:
            self._send_json([_entry(file) for file in sorted(folder.iterdir())])
        else:
            siblings = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
            self._send_json({"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _answer_file(self, path: str) -> None:
        owner, name, _, rest = path.lstrip("/").split("/", 3)
        file = self.hub.repositories[f"{owner}/{name}"] / rest.rpartition("/")[2]
        if not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content, large = file.read_bytes(), file.name.endswith(LARGE_SUFFIXES)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        etag = f'"{_digest(file)}"'
        headers = {"ETag": etag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(content))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        writers: dict[str, Callable[[bytes], None]] = {
            "stall": self._write_half, "cut": self._write_half, "flip": self._write_flipped, "slow": self._write_slowly,
        }  # fmt: skip
        write = writers.get(self.hub.fault, self.wfile.write) if large else self.wfile.write
        self._send(206 if start else 200, content[start:], headers, write)

    def _write_half(self, content: bytes) -> None:
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        if self.hub.fault == "stall":
            self.hub.closing.wait()
        self.close_connection = True

    def _write_flipped(self, content: bytes) -> None:
        place = len(content) - 3
        self.wfile.write(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])

    def _write_slowly(self, content: bytes) -> None:
        step = len(content) // 20 + 1
        for place in range(0, len(content), step):
            self.wfile.write(content[place : place + step])
            self.wfile.flush()
            self.hub.closing.wait(0.3)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        write: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            (write or self.wfile.write)(content)


def _entry(file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    entry: dict[str, Any] = {"type": "file", "path": file.name, "size": size, "oid": _digest(file)[:40]}
    if file.name.endswith(LARGE_SUFFIXES):
        entry["lfs"] = {"oid": _digest(file), "size": size, "pointerSize": 134}
    return entry


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
