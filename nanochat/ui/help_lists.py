"""The commands and the keys, written out: among the settings, and below the box when somebody types /help."""

from __future__ import annotations

import html
from collections.abc import Mapping

from nanochat.ui.commands import COMMANDS, ESCAPE, KEYS


def help_html() -> str:
    """Return the commands and the keys as two lists."""
    return (
        f'<div class="commands"><h3>Commands</h3>{_list(COMMANDS, "code")}<p>{html.escape(ESCAPE)}</p>'
        f"<h3>Keys</h3>{_list(KEYS, 'kbd')}</div>"
    )


def _list(rows: Mapping[str, str], tag: str) -> str:
    items = (
        f"<dt><{tag}>{html.escape(name)}</{tag}></dt><dd>{html.escape(words)}</dd>" for name, words in rows.items()
    )
    return f"<dl>{''.join(items)}</dl>"
