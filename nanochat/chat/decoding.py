"""Token ids to text, one at a time and never half a character.

A token is a run of bytes, and a character may take up to four of them, so an emoji or an accented letter can be spread
over several tokens. The decoder keeps the bytes of an unfinished character back until the rest has come.
"""

from __future__ import annotations

import codecs

from nanochat.chat.template import ChatTemplate


class TextDecoder:
    """Decodes one stream of ids. All pushed texts and the flushed one together equal the decoding of all bytes."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        # Sampled bytes need not be valid: each broken run becomes one replacement mark, as in bytes.decode.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the characters this id completed."""
        return self._decoder.decode(self._template.token_bytes(token_id))

    def flush(self) -> str:
        """End the stream: return a replacement mark if it stopped within a character."""
        return self._decoder.decode(b"", final=True)
