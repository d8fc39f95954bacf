"""The line at the top of the page: the model's name, or how far it has come, or why there is none."""

from __future__ import annotations

from html import escape

from nanochat.model.source import EMBEDDED
from nanochat.ui.amounts import short
from nanochat.ui.loading import Dropped, Failed, Loading
from nanochat.ui.served import ServedModel


def status_html(status: Loading | Failed | Dropped | ServedModel) -> str:
    """Return the line as HTML."""
    if isinstance(status, Loading):
        percent = round(100 * status.share)
        return _line(
            "loading",
            f'<span role="status">{escape(status.step)}</span>'
            f'<progress max="100" value="{percent}" aria-label="{escape(status.step)}">{percent} %</progress>',
        )
    if isinstance(status, Failed):
        remedy = " Restart the Space to try again." if status.final else ""
        return _line("failed", f'<span role="alert">{escape(status.reason + remedy)}</span>')
    if isinstance(status, Dropped):
        return _line(
            "dropped", '<span role="status">It made room for another model: your message loads it again.</span>'
        )
    name = "the embedded model" if status.checkpoint.source == EMBEDDED else status.checkpoint.source
    return _line("ready", f"<span>{escape(name)} · {short(status.facts.parameters)} parameters</span>")


def _line(state: str, content: str) -> str:
    return f'<div class="status {state}"><h1>nanochat</h1>{content}</div>'
