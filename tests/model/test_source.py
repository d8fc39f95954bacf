from __future__ import annotations

from pathlib import Path

import pytest

from nanochat.errors import CheckpointError
from nanochat.model.source import PRETRAINED, HubSource, LocalSource, parse_source


def test_embedded_is_the_folder_of_the_repository() -> None:
    assert parse_source("embedded") == LocalSource(PRETRAINED)
    assert PRETRAINED.parts[-2:] == ("nanochat", "pretrained")


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("karpathy/nanochat-d32", "karpathy/nanochat-d32", None),
        ("karpathy/nanochat-d32@main", "karpathy/nanochat-d32", "main"),
        ("a/b@refs/pr/1", "a/b", "refs/pr/1"),
        ("a/b@v1.0", "a/b", "v1.0"),
    ],
)
def test_a_hub_id_may_name_a_revision(text: str, repository: str, revision: str | None) -> None:
    source = parse_source(text)
    assert source == HubSource(repository, revision)
    assert str(source) == text


def test_a_folder_wins_over_a_repository_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_source("some/model") == HubSource("some/model")
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert parse_source("some/model") == LocalSource(Path("some/model"))


@pytest.mark.parametrize(
    "text",
    ["", " ", "name", "/no/such/folder", "../up", "a/b/c", "a/b@", "a/b@../x", "a b/c", "a/b\n", "\0", "a/b\0", "é/b"],
)
def test_what_can_be_neither_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(CheckpointError, match=r'"embedded", an existing folder, or a Hub id such as'):
        parse_source(text)
