from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate
from nanochat.errors import CheckpointError
from nanochat.model.folder import CONTROL_NAMES, save_folder

CALCULATION = [
    {"type": "text", "text": "Let me compute: "},
    {"type": "python", "text": "123*456"},
    {"type": "python_output", "text": "56088"},
    {"type": "text", "text": " is the product."},
]
CONVERSATIONS = [
    [("user", "What is the capital of France?")],
    [("user", "  two spaces, a newline\n"), ("assistant", "\nand one first ")],
    [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Größe 日本語 🦊\n\n\tcode")],
    [("user", "123 * 456?"), ("assistant", CALCULATION), ("user", "Thanks")],
    [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")],
]


def messages(turns: list[tuple[str, object]]) -> list[dict[str, object]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture(scope="module")
def saved_tokenizer(tiny_checkpoint: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_checkpoint)


@pytest.mark.parametrize("turns", CONVERSATIONS)
def test_the_saved_template_writes_the_ids_our_own_template_writes(
    turns: list[tuple[str, object]], saved_tokenizer: PreTrainedTokenizerBase, tiny_template: ChatTemplate
) -> None:
    conversation = messages(turns)
    written = saved_tokenizer.apply_chat_template(conversation, return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = tiny_template.render(Conversation.from_messages(conversation))
    assert written["input_ids"] == ids
    assert written["assistant_masks"] == mask


def test_the_generation_prompt_is_the_prompt_of_our_own_template(
    saved_tokenizer: PreTrainedTokenizerBase, tiny_template: ChatTemplate
) -> None:
    conversation = messages(CONVERSATIONS[2])
    written = saved_tokenizer.apply_chat_template(conversation, add_generation_prompt=True)["input_ids"]
    assert written == tiny_template.prompt(Conversation.from_messages(conversation))


def test_an_answer_that_is_continued_stays_open(
    saved_tokenizer: PreTrainedTokenizerBase, tiny_template: ChatTemplate
) -> None:
    conversation = messages([("user", "Count."), ("assistant", "one, two,")])
    written = saved_tokenizer.apply_chat_template(conversation, continue_final_message=True)["input_ids"]
    assert written == tiny_template.prompt(Conversation.from_messages(conversation))


def test_text_parts_of_a_question_are_joined(saved_tokenizer: PreTrainedTokenizerBase) -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert (
        saved_tokenizer.apply_chat_template(messages([("user", parts)]), tokenize=False)
        == "<|bos|><|user_start|>Hi there<|user_end|>"
    )


@pytest.mark.parametrize(
    "turns",
    [
        [("system", "Be brief.")],
        [("assistant", "Hello.")],
        [("user", "a"), ("user", "b")],
        [("user", "a"), ("system", "b")],
        [("user", "a"), ("tool", "b")],
    ],
)
def test_the_saved_template_refuses_an_order_the_model_never_saw(
    turns: list[tuple[str, object]], saved_tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(Exception, match=r"A conversation needs|take turns"):
        saved_tokenizer.apply_chat_template(messages(turns))


def test_the_configs_name_the_control_tokens_by_the_ids_of_the_tokenizer(
    tiny_checkpoint: Path, tiny_template: ChatTemplate
) -> None:
    control = tiny_template.control
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    generation = GenerationConfig.from_pretrained(tiny_checkpoint)
    assert (config["bos_token_id"], config["eos_token_id"]) == (control.bos, control.assistant_end)
    assert generation.eos_token_id == [control.assistant_end, control.bos]
    assert config["architectures"] == ["NanoChatForCausalLM"]


def test_no_control_token_is_padding_whose_embedding_would_never_learn(tiny_checkpoint: Path) -> None:
    assert NanoChatForCausalLM.from_pretrained(tiny_checkpoint).model.embed_tokens.padding_idx is None


def test_weights_are_stored_in_the_type_asked_for_and_the_model_stays_as_it_was(
    tiny_model: NanoChatForCausalLM, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    save_folder(tiny_model, tiny_tokenizer, tmp_path, card="# Half\n", dtype=torch.bfloat16)
    with safe_open(tmp_path / "model.safetensors", "pt") as stored:
        assert set(stored.keys()) == set(tiny_model.state_dict())
        assert {stored.get_tensor(name).dtype for name in stored.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    assert tiny_model.dtype == torch.float32
    assert (tmp_path / "README.md").read_text() == "# Half\n"


def test_whoever_may_read_the_config_may_read_the_weights(tiny_checkpoint: Path) -> None:
    assert len({file.stat().st_mode for file in tiny_checkpoint.iterdir()}) == 1


@pytest.mark.parametrize("missing", CONTROL_NAMES)
def test_a_tokenizer_without_a_control_token_is_refused_by_its_name(
    missing: str, tiny_model: NanoChatForCausalLM, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    renamed = Tokenizer.from_str(tiny_tokenizer.to_str().replace(missing, "<|other|>"))
    with pytest.raises(CheckpointError, match=missing.replace("|", r"\|")):
        save_folder(tiny_model, renamed, tmp_path / "refused", card="")
    assert not (tmp_path / "refused").exists()


def test_a_tokenizer_larger_than_the_model_is_refused(
    tiny_model: NanoChatForCausalLM, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    larger = Tokenizer.from_str(tiny_tokenizer.to_str())
    larger.add_tokens(["one more"])
    with pytest.raises(CheckpointError, match="385 tokens but the model only 384 rows"):
        save_folder(tiny_model, larger, tmp_path / "refused", card="")
