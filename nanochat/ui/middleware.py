"""What stands between the network and Gradio: a limit for what comes in, and rules for what a browser may do.

Gradio reads a body of any size, and its sanitiser lets forms and remote pictures through. Bodies are read here first,
chunked ones too; and a Content-Security-Policy keeps the page from loading, sending or running anything foreign,
whatever a message contains.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A chat is at most some hundred kilobytes, but saved chats travel together, and a browser keeps up to 5 MB of them.
MAX_BODY_BYTES = 8 * 2**20

# Gradio runs the code of its event handlers from strings ('unsafe-eval') and styles its elements in place. Hugging Face
# shows a Space in a frame. Everything else comes from this server or not at all.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    )
)


class BodyLimit:
    """Answers 413 to a request whose body is longer than the limit, whether or not it says so beforehand."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        received = await self._read(Headers(scope=scope), receive)
        if received is None:
            refusal = PlainTextResponse(f"A request may hold at most {self.max_bytes:,} bytes.\n", status_code=413)
            await refusal(scope, receive, send)
            return
        await self.app(scope, _replay(received, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> list[Message] | None:
        """Return the messages that make up the body, or None when there is too much of it."""
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self.max_bytes:
            return None
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                return None
            if not message.get("more_body", False):
                return messages


class BrowserRules:
    """Sends the security headers, and gives this server's own inline scripts the mark that lets them run."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        page = _Page(send)
        await self.app(scope, receive, page.send)


class _Page:
    """One response on its way out; HTML is held until it is whole, since the marks change its length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            if headers.get("content-type", "").startswith("text/html"):
                headers["Content-Security-Policy"] = _POLICY.format(nonce=self._nonce)
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(self._start)
            return
        await self._send(message)

    async def _send_page(self, start: Message) -> None:
        body = self._body.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _replay(messages: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that repeats what was read and then goes on as before."""
    remaining: Iterator[Message] = iter(messages)

    async def replayed() -> Message:
        return next(remaining, None) or await receive()

    return replayed
