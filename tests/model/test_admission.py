from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.errors import CheckpointError
from nanochat.model.admission import check_finite, check_shapes, expected_parameters, read_config, read_tokenizer
from nanochat.model.weights import read_headers


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def change_config(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_a_config_is_read_as_transformers_reads_it(folder: Path) -> None:
    ours, theirs = read_config(folder), NanoChatConfig.from_pretrained(folder)
    different = {"architectures", "dtype", "transformers_version", "_name_or_path"}
    for name, value in theirs.to_dict().items():
        if name not in different:
            assert getattr(ours, name) == value, name


def test_the_rotary_base_is_read_where_transformers_4_wrote_it(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    del values["rope_parameters"]
    (folder / "config.json").write_text(json.dumps({**values, "rope_theta": 50_000.0}))
    assert read_config(folder).rope_parameters["rope_theta"] == 50_000.0


def test_what_could_make_transformers_fetch_code_is_not_read(folder: Path) -> None:
    change_config(
        folder,
        auto_map={"AutoModelForCausalLM": "evil--model.Evil"},
        attn_implementation="someone/kernel",
        _attn_implementation="someone/kernel",
        custom_pipelines={"text-generation": {"impl": "evil.Evil"}},
    )
    config = read_config(folder)
    assert not hasattr(config, "auto_map")
    assert not hasattr(config, "custom_pipelines")
    assert "kernel" not in str(config._attn_implementation)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "llama"}, "a model of type 'llama', not nanochat"),
        ({"model_type": None}, "a model of type 'None', not nanochat"),
        ({"model_type": ["nanochat"]}, "not nanochat"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized weights"),
        ({"hidden_size": 10**15}, "hidden_size is 1000000000000000, not a whole number from 1 to 65,536"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"vocab_size": -5}, "vocab_size is -5"),
        ({"vocab_size": "384"}, "vocab_size"),
        ({"vocab_size": 1e300}, "vocab_size"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"hidden_size": None}, "hidden_size"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings is 1000000000000"),
        ({"num_key_value_heads": 3}, "no multiple of num_key_value_heads, 3"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"num_attention_heads": 5, "num_key_value_heads": 5}, "hidden_size is 32, no multiple of"),
        ({"num_attention_heads": 32, "num_key_value_heads": 32}, "hidden_size is 32, no multiple of twice"),
        ({"hidden_act": "__import__"}, "hidden_act is '__import__'"),
        ({"head_dim": -8}, "head_dim is -8"),
        ({"head_dim": 7}, "even rotary dimension"),
        ({"rope_parameters": {"rope_type": "nonsense", "rope_theta": 1.0}}, "rope"),
        ({"rope_parameters": {"rope_type": ["default"]}}, "rope_parameters"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps is -1e-06, not a number above 0"),
        ({"qk_scale": float("nan")}, "qk_scale is nan"),
        ({"rope_parameters": "default"}, "rope_parameters"),
        ({"final_logit_softcapping": "high"}, "final_logit_softcapping"),
        ({"final_logit_softcapping": 0.0}, "final_logit_softcapping is 0.0"),
        ({"rms_norm_eps": None}, "rms_norm_eps"),
        ({"window_pattern": "SX"}, "window_pattern"),
    ],
    ids=str,
)
def test_a_config_of_no_possible_nanochat_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    change_config(folder, **changes)
    with pytest.raises(CheckpointError) as refused:
        expected_parameters(read_config(folder))
    assert told in str(refused.value)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


def test_the_tokenizer_knows_what_the_saved_one_knows(folder: Path, tiny_tokenizer: Tokenizer) -> None:
    tokenizer = read_tokenizer(folder, read_config(folder))
    assert tokenizer.backend_tokenizer.get_vocab() == tiny_tokenizer.get_vocab()
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|bos|>", "<|assistant_end|>")
    conversation = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(conversation, tokenize=False) == "<|bos|><|user_start|>Hi<|user_end|>"


def rename(text: str) -> str:
    return text.replace("<|python_end|>", "<|python_stop|>")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (rename, "has no <|python_end|>"),
        (lambda _: "{}", "is damaged or not of the tokenizers library"),
        (lambda text: text.replace('"BPE"', '"XYZ"'), "is damaged or not of the tokenizers library"),
        (lambda text: text[:-200], "is not JSON"),
        (lambda _: "<html>", "is a web page"),
    ],
    ids=["control token", "empty object", "foreign kind", "cut", "web page"],
)
def test_a_tokenizer_that_is_not_nanochats_is_refused(folder: Path, damage: Any, told: str) -> None:
    file = folder / "tokenizer.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(CheckpointError) as refused:
        read_tokenizer(folder, read_config(folder))
    assert told in str(refused.value)


@pytest.mark.parametrize("rows", [383, 384 + 1025])
def test_a_tokenizer_of_another_vocabulary_is_refused(folder: Path, rows: int) -> None:
    change_config(folder, vocab_size=rows)
    with pytest.raises(CheckpointError, match="they do not belong together"):
        read_tokenizer(folder, read_config(folder))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_hidden_layers": 3}, r"lack model\.layers\.2\.mlp\.fc1\.weight and 5 more"),
        ({"num_hidden_layers": 1}, r"hold model\.layers\.1\.mlp\.fc1\.weight and 5 more, which the model has not"),
        ({"vocab_size": 400}, r"lm_head\.weight has the shape \(384, 32\), but by config\.json it is \(400, 32\)"),
        ({"num_key_value_heads": 4}, r"k_proj\.weight has the shape \(16, 32\)"),
        ({"value_embeddings": True}, r"lack model\.layers\.1\.self_attn\.value_embedding"),
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_the_config_are_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    change_config(folder, **changes)
    with pytest.raises(CheckpointError, match=told):
        check_shapes(read_headers(folder), read_config(folder))


def test_a_shared_head_need_not_be_stored(tiny_model: NanoChatForCausalLM, tmp_path: Path) -> None:
    config = NanoChatConfig(**{**tiny_model.config.to_dict(), "tie_word_embeddings": True})
    NanoChatForCausalLM(config).save_pretrained(tmp_path)
    weights = read_headers(tmp_path)
    assert "lm_head.weight" not in weights.shapes
    check_shapes(weights, config)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_single_weight_that_is_not_finite_is_found(
    bad: float, dtype: torch.dtype, tiny_model: NanoChatForCausalLM
) -> None:
    model = NanoChatForCausalLM(tiny_model.config).to(dtype)
    check_finite(model)
    with torch.no_grad():
        model.model.layers[1].mlp.fc2.weight[3, 7] = bad
    with pytest.raises(CheckpointError, match=r"model\.layers\.1\.mlp\.fc2\.weight holds numbers that are not finite"):
        check_finite(model)
