"""Conversion: what is written is what was read, transformers takes it where it can, and a failure leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from nanochat import NanoChatForCausalLM
from nanochat.__main__ import main
from nanochat.errors import CheckpointError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.convert import convert, push
from tests.original import ERAS, GOLDEN, expected

CLASSIC, CURRENT = ERAS


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("converted")
    return {era: convert(str(GOLDEN / era), folder / era).folder for era in ERAS}


@torch.inference_mode()
def last_logits(model: NanoChatForCausalLM, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0, -1]


@pytest.mark.parametrize("era", ERAS)
def test_a_converted_run_answers_as_the_run(converted: dict[str, Path], era: str) -> None:
    ours = load_checkpoint(str(converted[era]), device="cpu")
    run = load_checkpoint(str(GOLDEN / era), device="cpu")
    for ids in expected(era)["sequences"]:
        assert torch.equal(last_logits(ours.model, ids), last_logits(run.model, ids))
    assert ours.tokenizer.backend_tokenizer.to_str() == run.tokenizer.backend_tokenizer.to_str()
    assert ours.tokenizer.chat_template == run.tokenizer.chat_template


PLAIN = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
assert type(model).__module__.startswith("transformers.") and "nanochat" not in sys.modules
answers = []
for case in json.loads(sys.argv[2]):
    ids = tokenizer.apply_chat_template(case, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    answer = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, eos_token_id=[], pad_token_id=0
    )
    answers.append([ids[0].tolist(), answer[0, ids.shape[1]:].tolist()])
print(json.dumps(answers))
"""


def test_plain_transformers_loads_a_classic_one_and_gives_the_originals_prompt_and_answer(
    converted: dict[str, Path], tmp_path: Path
) -> None:
    question = expected(CLASSIC)["cases"][0]
    command = [sys.executable, "-c", PLAIN, str(converted[CLASSIC]), json.dumps([question["messages"][:1]])]
    # Elsewhere, so that this repository is not on the path.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [[question["completion_ids"], expected(CLASSIC)["greedy"][0]]]


def test_the_folder_is_complete_and_readable_by_all(converted: dict[str, Path]) -> None:
    for era, folder in converted.items():
        files = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
        assert set(files) == {
            "README.md",
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        assert len(set(files.values())) == 1
        card = (folder / "README.md").read_text()
        assert "$" not in card
        assert ('pipeline("text-generation"' in card) == (era == CLASSIC)


def test_the_type_of_numbers_can_be_chosen(tmp_path: Path) -> None:
    done = convert(str(GOLDEN / CURRENT), tmp_path / "half", dtype="bfloat16")
    assert done.dtype == "bfloat16"
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.bfloat16}


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="exists already"):
        convert(str(GOLDEN / CLASSIC), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    convert(str(GOLDEN / CLASSIC), tmp_path)
    assert (tmp_path / "model.safetensors").exists()


def test_what_cannot_be_loaded_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError):
        convert(str(tmp_path / "run"), tmp_path / "new" / "target")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/target cannot be written"):
        convert(str(GOLDEN / CLASSIC), tmp_path / "file" / "target")


def test_what_reads_back_differently_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save_with_a_fault(weights: dict[str, torch.Tensor], target: Path) -> None:
        save_file({name: tensor + 0.01 for name, tensor in weights.items()}, target / "model.safetensors")

    monkeypatch.setattr("nanochat.model.folder.save_torch_state_dict", save_with_a_fault)
    with pytest.raises(CheckpointError, match="answers differently"):
        convert(str(GOLDEN / CLASSIC), tmp_path / "target")
    assert not list(tmp_path.iterdir())


def test_the_command_line_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(GOLDEN / CURRENT), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "parameters in float32" in said
    assert "its logits of 256 tokens differ by 0 at most" in said
    assert "transformers does not know its architecture" in said
    assert main(["convert", str(GOLDEN / CURRENT), str(tmp_path / "out")]) == 1
    assert "exists already" in capsys.readouterr().err


# Weights in several files, on several devices.


@pytest.mark.parametrize("era", ERAS)
def test_weights_in_several_files_are_the_same_model(converted: dict[str, Path], era: str, tmp_path: Path) -> None:
    whole = load_checkpoint(str(converted[era]), device="cpu")
    whole.model.save_pretrained(tmp_path, max_shard_size="100KB")
    whole.tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    again = load_checkpoint(str(tmp_path), device="cpu")
    ids = expected(era)["sequences"][1]
    assert torch.equal(last_logits(again.model, ids), last_logits(whole.model, ids))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("placed", ["auto", "disk"])
def test_accelerate_may_place_the_parts(converted: dict[str, Path], era: str, placed: str, tmp_path: Path) -> None:
    whole = load_checkpoint(str(converted[era]), device="cpu").model
    parts = [name for name, _ in whole.model.named_children() if name not in ("layers", "norm")]
    spread = {f"model.{name}": "cpu" for name in [*parts, "norm"]}
    spread |= {f"model.layers.{index}": ("disk", "cpu")[index % 2] for index in range(len(whole.model.layers))}
    device_map = {**spread, "lm_head": "cpu"} if placed == "disk" else "auto"
    spread_out = NanoChatForCausalLM.from_pretrained(
        converted[era], device_map=device_map, offload_folder=tmp_path, dtype=torch.float32
    )
    prompt = torch.tensor([expected(era)["cases"][0]["completion_ids"]])
    how = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    assert spread_out.generate(prompt, **how).tolist() == whole.generate(prompt, **how).tolist()


# The Hub.


class Upload(BaseHTTPRequestHandler):
    """The part of the Hub's interface that takes a commit of small files."""

    files: dict[str, bytes]
    asked: list[tuple[str, str]]
    created: dict[str, object]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked.append((self.path, str(self.headers["Authorization"])))
        if self.path == "/api/repos/create":
            type(self).created = json.loads(body)
            self.answer({"url": "https://huggingface.co/someone/tiny"})
        elif self.path.endswith("/preupload/main"):
            named = [file["path"] for file in json.loads(body)["files"]]
            self.answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in named]})
        elif self.path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    type(self).files[line["value"]["path"]] = b64decode(line["value"]["content"])
            self.answer({"commitUrl": "https://huggingface.co/someone/tiny/commit/" + "1" * 40, "commitOid": "1" * 40})
        else:
            self.answer({})

    def answer(self, value: dict[str, object]) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    Upload.files, Upload.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upload)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_converted_folder_is_uploaded_whole(converted: dict[str, Path], hub: str) -> None:
    address = push(converted[CURRENT], "someone/tiny", HfApi(endpoint=hub, token="hf_test"))
    assert address.endswith("someone/tiny")
    assert "private" in json.dumps(Upload.created)
    assert Upload.files == {file.name: file.read_bytes() for file in converted[CURRENT].iterdir()}
    assert {token for _, token in Upload.asked} == {"Bearer hf_test"}


def test_without_a_token_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nanochat.model.convert.get_token", lambda: None)
    assert main(["convert", str(GOLDEN / CLASSIC), str(tmp_path / "out"), "--push-to-hub", "someone/tiny"]) == 1
    assert "set HF_TOKEN" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "told"), [("not a name", "no name for a repository"), ("a/b", r"did not take it \(ConnectError\)")]
)
def test_a_hub_that_refuses_is_told_and_the_folder_stays(converted: dict[str, Path], name: str, told: str) -> None:
    with pytest.raises(CheckpointError, match=f"is written, but .*{told}"):
        push(converted[CLASSIC], name, HfApi(endpoint="http://127.0.0.1:9", token="hf_test"))
