"""Limits and rules, over a plain ASGI application."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import Route

from nanochat.ui.middleware import BodyLimit, BrowserRules
from tests.ui.awaiting import run

LIMIT = 1_000


async def size(request: Request) -> JSONResponse:
    return JSONResponse(len(await request.body()))


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse('<script>one</script><script type="module" src="x.js"></script>')


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(["data: <script>1</script>\n\n"] * 3), media_type="text/event-stream")


def ask(method: str, path: str, **content: object) -> httpx.Response:
    routes = [Route("/size", size, methods=["POST"]), Route("/", page), Route("/stream", stream)]
    app = Starlette(routes=routes, middleware=[Middleware(BrowserRules), Middleware(BodyLimit, max_bytes=LIMIT)])

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
            return await client.request(method, path, **content)  # type: ignore[arg-type]

    return run(send)


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 100


@pytest.mark.parametrize("length", [0, 1, LIMIT - 1, LIMIT])
def test_a_body_within_the_limit_arrives_whole(length: int) -> None:
    assert ask("POST", "/size", content=b"x" * length).json() == length


def test_a_chunked_body_within_the_limit_arrives_whole() -> None:
    assert ask("POST", "/size", content=chunks(10)).json() == 1_000


def test_a_longer_body_is_refused_with_the_limit_named() -> None:
    answer = ask("POST", "/size", content=b"x" * (LIMIT + 1))
    assert answer.status_code == 413
    assert "1,000 bytes" in answer.text


def test_a_longer_body_in_chunks_is_refused_without_being_read_to_its_end() -> None:
    read = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(True)
            yield b"x" * 100

    assert ask("POST", "/size", content=endless()).status_code == 413
    assert len(read) <= 12


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "99999999999999999999"])
def test_a_length_that_is_no_allowed_number_is_refused(length: str) -> None:
    assert ask("POST", "/size", content=b"x", headers={"content-length": length}).status_code == 413


def test_each_page_has_a_mark_of_its_own_on_each_of_its_scripts() -> None:
    nonces = set()
    for _ in range(3):
        answer = ask("GET", "/")
        marks = re.findall(r'<script nonce="([^"]+)"', answer.text)
        assert len(marks) == 2
        nonces |= set(marks)
        assert f"'nonce-{marks[0]}'" in answer.headers["content-security-policy"]
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert len(nonces) == 3


def test_scripts_and_styles_of_other_hosts_are_ruled_out() -> None:
    policy = ask("GET", "/").headers["content-security-policy"]
    script = re.search(r"script-src ([^;]*)", policy)
    assert script
    assert "unsafe-inline" not in script[1]
    assert "*" not in script[1]
    assert "object-src 'none'" in policy


def test_what_is_not_a_page_passes_unchanged_and_unbuffered() -> None:
    answer = ask("GET", "/stream")
    assert answer.text == "data: <script>1</script>\n\n" * 3
    assert "content-security-policy" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
