"""The program as others meet it: over HTTP, with gradio_client and with curl."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from tests.serving import ROOT, Server, app


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with app(tmp_path_factory.mktemp("app") / "log.txt", model=str(tiny_checkpoint)) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client with a session of its own."""
    opened = Client(server.url, verbose=False, analytics_enabled=False)
    yield opened
    opened.close()


def ask(server: Server, endpoint: str, body: dict[str, Any], version: str = "") -> tuple[str, Any]:
    """Call an endpoint with curl, as the API page prints it: post, then read events; return the last one."""
    curl = ["curl", "--silent", "--show-error", "--max-time", "60", "--no-buffer"]
    call = f"{server.url}/gradio_api/call"
    post = [*curl, "-H", "Content-Type: application/json", "-d", json.dumps(body), f"{call}{version}/{endpoint}"]
    event = json.loads(subprocess.run(post, capture_output=True, check=True).stdout)["event_id"]
    lines = subprocess.run([*curl, f"{call}/{endpoint}/{event}"], capture_output=True, check=True).stdout.decode()
    *_, name, data = [line for line in lines.splitlines() if line]
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
QUESTION = [{"role": "user", "content": "Hello"}]


def test_chat_streams_the_text_so_far_and_remembers(client: Client) -> None:
    updates = list(client.submit("Hello", max_tokens=24, seed=3, api_name="/chat"))
    assert all(isinstance(update, str) for update in updates)
    assert all(updates[-1].startswith(update.rstrip("\ufffd")) for update in updates)
    first = client.predict(QUESTION, max_tokens=24, seed=3, api_name="/generate")
    assert first["text"].startswith(updates[-1])
    # The second turn reads both messages of the first one before it.
    again = client.predict("Again", max_tokens=8, seed=3, api_name="/chat")
    messages = [*QUESTION, first["message"], {"role": "user", "content": "Again"}]
    assert isinstance(again, str)
    stateless = client.predict(messages, max_tokens=8, seed=3, api_name="/generate")
    assert stateless["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"] + 24


def test_every_setting_can_be_left_out(client: Client) -> None:
    assert isinstance(client.predict("Hello", api_name="/chat"), str)
    assert client.predict(QUESTION, api_name="/generate")["finish_reason"] in ("stop", "length")


def test_generate_says_what_it_did(client: Client) -> None:
    result = client.predict(QUESTION, temperature=0, max_tokens=6, api_name="/generate")
    assert len(result["ids"]) == len(result["tokens"]) == result["usage"]["completion_tokens"] <= 6
    for token in result["tokens"]:
        assert len(token["top"]) == 5
        assert token["logprob"] <= token["top"][0]["logprob"]
        # At temperature 0 the chosen token is the most probable one.
        assert token["forced"] or token["id"] == token["top"][0]["id"]
    usage = result["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_generate_goes_on_from_words_that_are_given_to_the_assistant(client: Client) -> None:
    begun = {"role": "assistant", "content": "Once upon"}
    result = client.predict([*QUESTION, begun], temperature=0, max_tokens=4, api_name="/generate")
    prompt = client.predict([*QUESTION, begun], api_name="/tokenize")
    assert "".join(token["text"] for token in prompt["tokens"]).endswith("<|assistant_start|>Once upon")
    assert result["usage"]["prompt_tokens"] == prompt["count"]
    assert result["message"]["content"] == "Once upon" + result["text"]


def test_the_same_seed_gives_the_same_answer(client: Client) -> None:
    first, second = (client.predict(QUESTION, max_tokens=12, seed=5, api_name="/generate") for _ in range(2))
    assert first["ids"] == second["ids"]
    assert first["seed"] == 5


def test_tokenize_counts_text_and_messages(client: Client) -> None:
    text = client.predict("a fox <|assistant_end|>", api_name="/tokenize")
    assert "".join(token["text"] for token in text["tokens"]) == "a fox <|assistant_end|>"
    prompt = client.predict(QUESTION, api_name="/tokenize")
    assert prompt["tokens"][0]["text"] == "<|bos|>"
    assert prompt["count"] == len(prompt["ids"])


def test_the_model_card_counts_the_loaded_model(client: Client, tiny_model: NanoChatForCausalLM) -> None:
    card = client.predict(api_name="/model_card")
    assert card["parameters"] == sum(tensor.numel() for tensor in tiny_model.parameters())


def test_the_api_is_documented_and_nothing_else_is_public(server: Server) -> None:
    endpoints = httpx.get(f"{server.url}/gradio_api/info", timeout=60).json()["named_endpoints"]
    assert {"/chat", "/generate", "/tokenize", "/model_card"} <= set(endpoints) <= {
        "/chat", "/generate", "/tokenize", "/model_card", "/inspect"
    }  # fmt: skip
    settings = ["system_prompt", "temperature", "top_k", "top_p", "repetition_penalty", "max_tokens", "seed"]
    for name, first in (("/chat", "message"), ("/generate", "messages")):
        parameters = endpoints[name]["parameters"]
        assert [parameter["parameter_name"] for parameter in parameters] == [first, *settings, "model"]
        assert all(parameter["python_type"]["description"] for parameter in parameters)
        assert all(parameter["parameter_has_default"] for parameter in parameters[1:])
        assert endpoints[name]["description"]


@needs_curl
@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("", {"data": ["Hello"]}),
        ("", {"data": ["Hello", "", 0, 0, 1, 1, 4]}),
        ("/v2", {"message": "Hello"}),
        ("/v2", {"message": "Hello", "temperature": 0, "max_tokens": 4}),
    ],
)
def test_curl_chats(server: Server, version: str, body: dict[str, Any]) -> None:
    event, data = ask(server, "chat", body, version)
    assert event == "complete"
    assert isinstance(data[0], str)


@needs_curl
def test_curl_generates(server: Server) -> None:
    event, data = ask(server, "generate", {"data": [QUESTION]})
    assert event == "complete"
    assert data[0]["usage"]["completion_tokens"] == len(data[0]["ids"])


SECRET = "zebra-marker"
REFUSED = [
    ("chat", [""], "empty"),
    ("chat", [None], "text"),
    ("chat", [5], "text"),
    ("chat", [{"text": SECRET}], "text"),
    ("chat", [SECRET + "x" * 8_000], "8,000"),
    ("chat", [SECRET + "x" * 2_000_000], "8,000"),
    ("chat", [SECRET + "\ud800"], "surrogate"),
    ("chat", [SECRET, 5], "system_prompt"),
    ("chat", [SECRET, "", 2.5], "temperature"),
    ("chat", [SECRET, "", float("nan")], "temperature"),
    ("chat", [SECRET, "", float("inf")], "temperature"),
    ("chat", [SECRET, "", True], "temperature"),
    ("chat", [SECRET, "", "hot"], "temperature"),
    ("chat", [SECRET, "", 1, 2.5], "top_k"),
    ("chat", [SECRET, "", 1, 2, 0], "top_p"),
    ("chat", [SECRET, "", 1, 2, 1, 3], "repetition_penalty"),
    ("chat", [SECRET, "", 1, 2, 1, 1, 4_097], "max_tokens"),
    ("chat", [SECRET, "", 1, 2, 1, 1, 4, -1], "seed"),
    ("generate", [], "list"),
    ("generate", [SECRET], "list"),
    ("generate", [[]], "at least one"),
    ("generate", [[{"role": "tool", "content": SECRET}]], "role"),
    ("generate", [[{"role": "<|bos|>", "content": SECRET}]], "role"),
    ("generate", [[{"role": "assistant", "content": SECRET}]], "must be from the user"),
    ("generate", [[{"role": "user", "content": {"path": "/etc/passwd"}}]], "text"),
    ("generate", [[*QUESTION, {"role": "assistant", "content": "b"}] * 250 + QUESTION], "500"),
    ("tokenize", ["x" * 32_001], "32,000"),
    ("tokenize", ["\ud800"], "surrogate"),
    ("tokenize", [None], "list"),
]


def call(server: Server, endpoint: str, data: list[Any]) -> tuple[str, Any]:
    """Call an endpoint with a body that may hold what JSON does not know: NaN, infinity, half a character."""
    url = f"{server.url}/gradio_api/call/{endpoint}"
    with httpx.Client(timeout=60, headers={"Content-Type": "application/json"}) as http:
        event = http.post(url, content=json.dumps({"data": data}).encode()).json()["event_id"]
        *_, name, answer = [line for line in http.get(f"{url}/{event}").text.splitlines() if line]
    return name.removeprefix("event: "), json.loads(answer.removeprefix("data: "))


@pytest.mark.parametrize(
    ("endpoint", "data", "words"), REFUSED, ids=[f"{n}-{r[0]}-{r[2]}" for n, r in enumerate(REFUSED)]
)
def test_bad_input_is_refused_with_the_limit_named(server: Server, endpoint: str, data: list[Any], words: str) -> None:
    event, answer = call(server, endpoint, data)
    assert event == "error"
    assert words in answer["error"]
    assert SECRET not in answer["error"]
    assert "Traceback" not in answer["error"]


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    url = f"{server.url}/gradio_api/call/chat"
    assert httpx.post(url, content=b"x" * 9_000_000, timeout=60).status_code == 413


def test_after_all_that_the_next_request_is_answered_and_the_log_holds_no_words_of_users(server: Server) -> None:
    assert call(server, "chat", ["Hello", "", 1, 0, 1, 1, 4])[0] == "complete"
    assert SECRET not in server.log
    assert "Traceback" not in server.log


def test_a_setting_that_is_not_allowed_ends_the_start_in_one_line() -> None:
    environment = {**os.environ, "NANOCHAT_DEVICE": "gpu"}
    ended = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("NANOCHAT_DEVICE is 'gpu', but must be auto, cpu")
    assert "Traceback" not in ended.stderr


def test_app_is_short_and_does_nothing_when_imported() -> None:
    source = (ROOT / "app.py").read_text()
    assert len(source.splitlines()) <= 50
    statements = {type(node) for node in ast.parse(source).body}
    assert statements <= {ast.Expr, ast.ImportFrom, ast.Import, ast.FunctionDef, ast.If}
