"""Where a model comes from: the folder in this repository, another folder, or a repository on the Hugging Face Hub.

All three are named by one string, in a setting or on the command line; this is the one place that reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nanochat.errors import CheckpointError

PRETRAINED = Path(__file__).parent.parent / "pretrained"
EMBEDDED = "embedded"
ALLOWED = f'"{EMBEDDED}", an existing folder, or a Hub id such as "karpathy/nanochat-d32" with an optional @revision'

ALLOWED_LIST = f'models separated by commas, each {ALLOWED}, and each with a name before it if wanted, as in "Large=…"'
LONGEST_NAME = 60

# Names of the Hub are at most 96 characters; a revision is a branch, a tag, a commit or refs/pr/1.
_HUB_ID = re.compile(r"(?P<repository>\w[\w.-]{0,95}/\w[\w.-]{0,95})(@(?P<revision>\w[\w./-]{0,99}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A folder on this machine."""

    folder: Path


@dataclass(frozen=True, slots=True)
class HubSource:
    """A model repository on the Hub; a revision of None is its main branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A model as somebody chooses it: the name that is shown, and the source that `parse_source` reads."""

    name: str
    source: str


def parse_sources(text: str) -> tuple[NamedSource, ...]:
    """Read a list of models, each `source` or `Name=source`. Touches no network.

    Raises CheckpointError for what is no such list, and for names that are too long or not different.
    """
    named = tuple(_named(piece.strip()) for piece in text.split(","))
    names = [each.name for each in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CheckpointError(f"Two models have the name {twice!r}: give them different ones, as in Name=source.")
    return named


def _named(text: str) -> NamedSource:
    name, equals, source = (piece.strip() for piece in text.partition("="))
    # A folder may have an equals sign in its name.
    if not equals or _existing_folder(text):
        parse_source(text)
        return NamedSource(text, text)
    if not 0 < len(name) <= LONGEST_NAME:
        raise CheckpointError(f"A model's name has 1 to {LONGEST_NAME} characters.")
    parse_source(source)
    return NamedSource(name, source)


def parse_source(text: str) -> LocalSource | HubSource:
    """Read the name of a model; a folder of that name wins over a Hub repository. Touches no network.

    Raises CheckpointError for what can be neither.
    """
    if text == EMBEDDED:
        return LocalSource(PRETRAINED)
    if folder := _existing_folder(text):
        return LocalSource(folder)
    matched = _HUB_ID.fullmatch(text)
    if not matched:
        raise CheckpointError(f"The model {text[:200]!r} is not found: it must be {ALLOWED}.")
    return HubSource(matched["repository"], matched["revision"])


def _existing_folder(text: str) -> Path | None:
    """Return the folder of that name, ~ for the home; no name at all is none, rather than the current one."""
    try:
        folder = Path(text).expanduser()
        return folder if text.strip() and folder.is_dir() else None
    # A NUL byte, more characters than a name may have, somebody's home who is not there.
    except (ValueError, OSError, RuntimeError):
        return None
