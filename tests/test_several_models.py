"""Several models behind one address, as programs meet them; one of them cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.model.folder import save_folder
from nanochat.recipe.tokenizer import train_tokenizer
from tests.conftest import LINES
from tests.serving import Server, app

SETTINGS = {"max_tokens": 8, "seed": 3}


@pytest.fixture(scope="module")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another size, whose tokenizer has other words."""
    tokenizer = train_tokenizer(LINES[:3], vocab_size=320)
    config = NanoChatConfig(
        vocab_size=320,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=tokenizer.token_to_id("<|bos|>"),
        eos_token_id=tokenizer.token_to_id("<|assistant_end|>"),
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = NanoChatForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("models") / "other"
    save_folder(model, tokenizer, folder, card="# Another model for tests\n")
    return folder


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, other_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    empty = tmp_path_factory.mktemp("empty")
    models = f"First={tiny_checkpoint}, Other={other_checkpoint}, Broken={empty}"
    with app(tmp_path_factory.mktemp("several") / "log.txt", models=models) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    opened = Client(server.url, verbose=False, analytics_enabled=False)
    yield opened
    opened.close()


def say(client: Client, text: str, **arguments: Any) -> str:
    return str(client.predict(text, **SETTINGS, **arguments, api_name="/chat"))


def test_each_model_has_its_card_and_the_first_is_the_default(
    client: Client, tiny_checkpoint: Path, other_checkpoint: Path
) -> None:
    cards = [
        client.predict(**({"model": name} if name else {}), api_name="/model_card") for name in ("", "First", "Other")
    ]
    assert [card["source"] for card in cards] == [str(tiny_checkpoint), str(tiny_checkpoint), str(other_checkpoint)]
    assert cards[2]["parameters"] < cards[0]["parameters"]


def test_a_chat_goes_from_one_model_to_another_as_text(client: Client) -> None:
    question = {"role": "user", "content": "Hello"}
    say(client, "Hello")
    first = client.predict([question], **SETTINGS, api_name="/generate")
    second = say(client, "Again", model="Other")
    messages = [question, first["message"], {"role": "user", "content": "Again"}]
    expected = client.predict(messages, **SETTINGS, model="Other", api_name="/generate")
    assert expected["text"] == second
    # And back: the first model reads its own answer as the ids it was, and the other's as text.
    assert say(client, "Once more")


def test_models_tokenize_differently(client: Client) -> None:
    text = "The capital of France is Paris. 12 + 34 = 46"
    counts = {name: client.predict(text, model=name, api_name="/tokenize")["count"] for name in ("First", "Other")}
    assert counts["First"] < counts["Other"]


@pytest.mark.parametrize("endpoint", ["/chat", "/generate", "/tokenize", "/inspect"])
def test_a_model_that_is_not_on_offer_is_refused_with_those_that_are(client: Client, endpoint: str) -> None:
    first = "Hello" if endpoint in ("/chat", "/tokenize") else [{"role": "user", "content": "Hello"}]
    with pytest.raises(AppError, match="model must be First or Other or Broken"):
        client.predict(first, model="first", api_name=endpoint)


def test_a_model_that_cannot_be_loaded_says_so_and_the_others_answer(client: Client, server: Server) -> None:
    with pytest.raises(AppError, match=r"cannot be loaded: config\.json is missing"):
        say(client, "Hello", model="Broken")
    assert say(client, "Hello")
    assert "Traceback" not in server.log
