from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from nanochat.errors import SettingsError
from nanochat.settings import PREFIX, Settings

HOUSE = Path(__file__).parent.parent


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"PATH": "/bin", "NANOCHAT_THREADS": ""}) == Settings()


def test_every_default_could_have_been_set() -> None:
    environment = {
        PREFIX + field.name.upper(): str(getattr(Settings(), field.name)) for field in dataclasses.fields(Settings)
    }
    assert Settings.from_environment(environment) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MODEL", "karpathy/nanochat-d32", "karpathy/nanochat-d32"),
        ("MODEL", "karpathy/nanochat-d32@refs/pr/1", "karpathy/nanochat-d32@refs/pr/1"),
        ("MODEL", str(HOUSE), str(HOUSE)),
        ("DEVICE", "cuda:1", "cuda:1"),
        ("DEVICE", "CPU", "cpu"),
        ("DEVICE", "all", "all"),
        ("DTYPE", "bfloat16", "bfloat16"),
        ("COMPILE", "True", True),
        ("THREADS", " 2 ", 2),
        ("SLOTS", "8", 8),
        ("QUEUE", "0", 0),
        ("DEADLINE_SECONDS", "0.5e2", 50.0),
        ("REQUESTS_PER_SESSION", "1", 1),
    ],
)
def test_an_allowed_value_is_taken(name: str, value: str, expected: object) -> None:
    settings = Settings.from_environment({PREFIX + name: value})
    assert getattr(settings, name.lower()) == expected
    assert dataclasses.replace(settings, **{name.lower(): getattr(Settings(), name.lower())}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("MODEL", "no/such/folder", "embedded"),
        ("MODEL", "gpt2", "Hub id"),
        ("MODEL", "karpathy/nanochat@", "revision"),
        ("MODEL", "a/b\0", "folder"),
        ("MODEL", "https://huggingface.co/karpathy/nanochat-d32", "Hub id"),
        ("MODELS", "embedded,gpt2", "models separated by commas"),
        ("MODELS", "A=embedded,A=a/b", "models separated by commas"),
        ("MODELS_GIGABYTES", "0", "a number from 0.1 to 100,000"),
        ("DEVICE", "gpu", "auto, cpu, cuda, cuda:N, mps or all"),
        ("DEVICE", "cuda:", "auto, cpu, cuda, cuda:N, mps or all"),
        ("DTYPE", "fp32", "auto, float32, bfloat16 or float16"),
        ("COMPILE", "1", "true or false"),
        ("THREADS", "-1", "a whole number from 0 to 1,024"),
        ("THREADS", "two", "a whole number from 0 to 1,024"),
        ("SLOTS", "0", "a whole number from 1 to 256"),
        ("SLOTS", "2.5", "a whole number from 1 to 256"),
        ("QUEUE", "1e3", "a whole number from 0 to 10,000"),
        ("DEADLINE_SECONDS", "nan", "a number from 1 to 86,400"),
        ("DEADLINE_SECONDS", "inf", "a number from 1 to 86,400"),
        ("REQUESTS_PER_SESSION", "many", "a whole number from 1 to 256"),
    ],
)
def test_a_bad_value_is_refused_with_the_variable_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({PREFIX + name: value})
    assert str(refused.value).startswith(f"{PREFIX}{name} is {value!r}, but must be ")
    assert allowed in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["embedded"]),
        ({"MODEL": "a/b"}, ["a/b"]),
        ({"MODELS": "Small=embedded,Large=a/b"}, ["Small", "Large"]),
        ({"MODELS": "Small=embedded,Large=a/b", "MODEL": "a/b"}, ["Large", "Small"]),
        ({"MODELS": "Small=embedded,Large=a/b", "MODEL": "c/d"}, ["c/d", "Small", "Large"]),
    ],
)
def test_the_models_on_offer_begin_with_the_default(environment: dict[str, str], names: list[str]) -> None:
    settings = Settings.from_environment({PREFIX + name: value for name, value in environment.items()})
    assert [choice.name for choice in settings.choices] == names
    assert settings.choices[0].source == settings.model


def test_a_misspelt_variable_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"NANOCHAT_SLOT is not a setting\. The settings are .*NANOCHAT_SLOTS"):
        Settings.from_environment({"NANOCHAT_SLOT": "8"})


def test_the_variable_of_the_original_is_let_be() -> None:
    assert Settings.from_environment({"NANOCHAT_BASE_DIR": "/data"}) == Settings()


def test_an_option_wins_over_the_environment_and_is_checked_like_it() -> None:
    environment = {"NANOCHAT_SLOTS": "3", "NANOCHAT_THREADS": "1"}
    settings = Settings.from_environment(environment, slots="5", device=None)
    assert (settings.slots, settings.threads, settings.device) == (5, 1, "auto")
    with pytest.raises(SettingsError, match="NANOCHAT_DEVICE is 'gpu', but must be auto"):
        Settings.from_environment({}, device="gpu")
    assert environment == {"NANOCHAT_SLOTS": "3", "NANOCHAT_THREADS": "1"}


def test_the_process_environment_is_what_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOCHAT_SLOTS", "3")
    assert Settings.from_environment().slots == 3


def test_every_default_has_its_reason_in_a_comment() -> None:
    path = HOUSE / "nanochat" / "settings.py"
    lines = path.read_text().splitlines()
    settings = next(
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    for node in settings.body:
        if isinstance(node, ast.AnnAssign):
            assert lines[node.lineno - 2].strip().startswith("#"), ast.unparse(node)
