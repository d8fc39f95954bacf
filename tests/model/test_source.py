from __future__ import annotations

from pathlib import Path

import pytest

from nanochat.errors import CheckpointError
from nanochat.model.source import PRETRAINED, HubSource, LocalSource, NamedSource, parse_source, parse_sources


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


def test_a_list_gives_each_model_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "run=3"
    folder.mkdir()
    text = f"embedded, Large = karpathy/nanochat-d32@main ,{folder},Mine={tmp_path}"
    assert parse_sources(text) == (
        NamedSource("embedded", "embedded"),
        NamedSource("Large", "karpathy/nanochat-d32@main"),
        NamedSource(str(folder), str(folder)),
        NamedSource("Mine", str(tmp_path)),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("embedded,", "is not found"),
        ("embedded,A=", "is not found"),
        ("A=embedded,A=a/b", "Two models have the name 'A'"),
        ("embedded,embedded", "Two models have the name 'embedded'"),
        ("=embedded", "1 to 60 characters"),
        (f"{'x' * 61}=embedded", "1 to 60 characters"),
    ],
)
def test_a_list_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        parse_sources(text)
