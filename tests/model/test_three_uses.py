"""The three uses on Hugging Face's model page of NanoChat, with our classes and a folder of ours, unchanged.

They run on the small folder of the tests, and on the embedded model once it is there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate
from nanochat.model.source import PRETRAINED

HOUSE = Path(__file__).parent.parent.parent
CONVERSATION = [{"role": "user", "content": "What is the capital of France?"}]
EMBEDDED = pytest.param(
    PRETRAINED,
    marks=pytest.mark.skipif(not (PRETRAINED / "model.safetensors").exists(), reason="no embedded model yet"),
)


@pytest.fixture(params=["tiny", EMBEDDED], ids=["tiny", "embedded"])
def model_id(request: pytest.FixtureRequest, tiny_checkpoint: Path) -> str:
    return str(tiny_checkpoint if request.param == "tiny" else request.param)


def test_a_pipeline_answers_a_conversation(model_id: str) -> None:
    pipe = pipeline("text-generation", model=model_id, device="cpu")
    assert type(pipe.model) is NanoChatForCausalLM
    outputs = pipe(CONVERSATION, max_new_tokens=8, do_sample=False)
    *asked, answer = outputs[0]["generated_text"]
    assert asked == CONVERSATION
    assert answer["role"] == "assistant"
    assert isinstance(answer["content"], str)


def test_the_auto_classes_template_and_generate_answer_a_conversation(model_id: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_id)
    model = AutoModelForCausalLM.from_pretrained(model_id)
    assert type(model) is NanoChatForCausalLM
    inputs = tokenizer.apply_chat_template(
        CONVERSATION, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    ).to(model.device)
    template = ChatTemplate(tokenizer.backend_tokenizer)
    assert inputs["input_ids"][0].tolist() == template.prompt(Conversation.from_messages(CONVERSATION))
    with torch.no_grad():
        outputs = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    generated = outputs[0, inputs["input_ids"].shape[1] :]
    assert 1 <= len(generated) <= 8
    assert "<|" not in tokenizer.decode(generated, skip_special_tokens=True)


def test_a_batch_is_padded_on_the_left_and_answered_as_alone(model_id: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_id)
    model = AutoModelForCausalLM.from_pretrained(model_id, dtype=torch.float32)
    chats = [CONVERSATION, [{"role": "user", "content": "Hi"}]]
    wanted = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    together = tokenizer.apply_chat_template(chats, padding=True, **wanted)
    assert together["attention_mask"][1, 0] == 0
    answers = model.generate(**together, max_new_tokens=6, do_sample=False)[:, together["input_ids"].shape[1] :]
    for chat, answer in zip(chats, answers, strict=True):
        alone = tokenizer.apply_chat_template(chat, **wanted)
        expected = model.generate(**alone, max_new_tokens=6, do_sample=False)[0, alone["input_ids"].shape[1] :]
        assert answer[: len(expected)].tolist() == expected.tolist()


def test_the_command_line_answers_a_message_from_standard_input(model_id: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nanochat", "run", "--model", model_id, "--device", "cpu", "--max-tokens", "8"],
        input=json.dumps(CONVERSATION[0], ensure_ascii=False) + "\n",
        capture_output=True,
        text=True,
        cwd=HOUSE,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")


# Generating and saving end to end by somebody who has transformers and not this package.
WITHOUT_US = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model_id, question = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(model_id, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(model_id)
inputs = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
print(type(model).__module__)
print(model.generate(**inputs, max_new_tokens=8, do_sample=False)[0].tolist())
assert not any(name.split(".")[0] == "nanochat" for name in sys.modules)
"""


def test_plain_transformers_loads_the_folder_and_answers_alike(model_id: str, tmp_path: Path) -> None:
    question = CONVERSATION[0]["content"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_US, model_id, question],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module, ids = done.stdout.splitlines()
    assert module == "transformers.models.nanochat.modeling_nanochat"
    tokenizer = AutoTokenizer.from_pretrained(model_id)
    model = AutoModelForCausalLM.from_pretrained(model_id, dtype=torch.float32)
    inputs = tokenizer.apply_chat_template(
        CONVERSATION, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    assert model.generate(**inputs, max_new_tokens=8, do_sample=False)[0].tolist() == json.loads(ids)
