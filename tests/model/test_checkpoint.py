"""Folders that load, and folders that are damaged or hostile: each of these ends in one sentence and runs nothing."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file

from nanochat import NanoChatForCausalLM
from nanochat.errors import CheckpointError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.folder import save_folder
from nanochat.model.modeling_nanochat import alone
from nanochat.model.source import PRETRAINED

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def refusal(source: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(str(source), device="cpu")
    text = str(refused.value)
    assert text.startswith(f"The model {source} cannot be loaded: ")
    assert "\n" not in text
    return text


def test_a_folder_is_loaded_whole_and_ready_for_inference(folder: Path, tiny_model: NanoChatForCausalLM) -> None:
    loaded = load_checkpoint(str(folder), device="cpu")
    assert type(loaded.model) is NanoChatForCausalLM
    assert not loaded.model.training
    assert (loaded.source, loaded.revision, loaded.model.dtype) == (str(folder), None, torch.float32)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded.model(ids).logits, tiny_model(ids).logits)
    assert loaded.model.generation_config.eos_token_id == [379, 375]
    assert loaded.tokenizer.backend_tokenizer.token_to_id("<|assistant_end|>") == 379
    assert loaded.checksum == load_checkpoint(str(folder), device="cpu").checksum


def test_sharded_weights_are_the_same_model(folder: Path, tiny_model: NanoChatForCausalLM) -> None:
    (folder / WEIGHTS).unlink()
    save_torch_state_dict(
        {name: alone(each) for name, each in tiny_model.state_dict().items()}, folder, max_shard_size=60_000
    )
    loaded = load_checkpoint(str(folder), device="cpu")
    for name, tensor in tiny_model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_come_in_the_type_asked_for(folder: Path, dtype: str) -> None:
    model = load_checkpoint(str(folder), device="cpu", dtype=dtype).model
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}


def test_a_small_model_saved_in_bfloat16_decodes_in_float32(
    tiny_model: Any, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    save_folder(tiny_model, tiny_tokenizer, tmp_path, card="", dtype=torch.bfloat16)
    assert load_checkpoint(str(tmp_path), device="cpu").model.dtype == torch.float32


def test_progress_only_grows_and_ends_at_one(folder: Path) -> None:
    told: list[float] = []
    load_checkpoint(str(folder), device="cpu", progress=lambda _, fraction: told.append(fraction))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_nothing_is_drawn_beside_the_progress(folder: Path, quantize: str, capfd: pytest.CaptureFixture[str]) -> None:
    load_checkpoint(str(folder), device="cpu", quantize=quantize)
    assert capfd.readouterr() == ("", "")


def test_bars_that_others_draw_with_transformers_stay(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_checkpoint(str(folder), device="cpu")
    NanoChatForCausalLM.from_pretrained(folder)
    assert "Loading weights" in capfd.readouterr().err


def change_config(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, **changes}))

    return damage


def put(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def cut(name: str, kept: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * kept)])

    return damage


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def change_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file(weights, folder / WEIGHTS)

    return damage


def not_finite(weights: dict[str, torch.Tensor]) -> None:
    weights["lm_head.weight"][5, 5] = float("nan")


def rename_control_token(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace("<|output_start|>", "<|output|>"))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 188000\n"
PAGE = b"<!DOCTYPE html><html></html>"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (drop("config.json"), "config.json is missing"),
    "no tokenizer": (drop("tokenizer.json"), "tokenizer.json is missing"),
    "no weights": (drop(WEIGHTS), "model.safetensors is missing"),
    "a pointer for weights": (put(WEIGHTS, POINTER), "model.safetensors is a Git LFS pointer"),
    "a pointer for a tokenizer": (put("tokenizer.json", POINTER), "tokenizer.json is a Git LFS pointer"),
    "a page for weights": (put(WEIGHTS, PAGE), "model.safetensors is a web page"),
    "a page for a config": (put("config.json", PAGE), "config.json is a web page"),
    "weights cut in the header": (cut(WEIGHTS, 0.001), "model.safetensors is damaged or cut short"),
    "weights cut in the tensors": (cut(WEIGHTS, 0.99), "model.safetensors is damaged or cut short"),
    "a config cut": (cut("config.json", 0.5), "config.json is not JSON"),
    "a tokenizer cut": (cut("tokenizer.json", 0.5), "tokenizer.json is not JSON"),
    "a foreign architecture": (change_config(model_type="llama"), "a model of type 'llama', not nanochat"),
    "quantized": (change_config(quantization_config={"quant_method": "awq"}), "quantized weights"),
    "no possible size": (change_config(hidden_size=10**12), "hidden_size is 1000000000000"),
    "another size": (change_config(hidden_size=64), "by config.json it is"),
    "another vocabulary": (change_config(vocab_size=2000), "they do not belong together"),
    "more layers": (change_config(num_hidden_layers=4), "The weights lack model.layers.2"),
    "a tensor lacking": (change_weights(lambda weights: weights.pop("lm_head.weight")), "lack lm_head.weight"),
    "a tensor too many": (change_weights(lambda weights: weights.update(x=torch.ones(1))), "hold x, which"),
    "not finite": (change_weights(not_finite), "lm_head.weight holds numbers that are not finite"),
    "a tokenizer of another kind": (rename_control_token, "has no <|output_start|>"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_ends_in_one_clear_sentence(folder: Path, name: str) -> None:
    damage, told = DAMAGES[name]
    damage(folder)
    assert told in refusal(folder)


class Payload:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model_000001.pt", "tokenizer.pkl", "model.safetensors"])
@pytest.mark.parametrize("beside_good_weights", [True, False])
def test_no_pickle_is_ever_run(folder: Path, tmp_path: Path, name: str, beside_good_weights: bool) -> None:
    trace = tmp_path / "ran"
    if not beside_good_weights:
        (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Payload(trace)))
    if beside_good_weights and name != WEIGHTS:
        load_checkpoint(str(folder), device="cpu")
    else:
        refusal(folder)
    assert not trace.exists()


def test_no_memory_is_spent_on_a_size_that_the_weights_do_not_have(folder: Path) -> None:
    # 52 terabytes, were it believed.
    change_config(
        hidden_size=65_536, intermediate_size=1_048_576, num_hidden_layers=100, max_position_embeddings=10**7
    )(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "by config.json it is" in refusal(folder) or "The weights lack" in refusal(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_file_where_a_folder_should_be_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is not found: it must be"):
        load_checkpoint(str(folder / WEIGHTS), device="cpu")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    assert "This is not the folder of a model." in refusal(tmp_path)


@pytest.mark.skipif(not (PRETRAINED / WEIGHTS).exists(), reason="no embedded model yet")
def test_the_embedded_model_loads_and_is_small() -> None:
    loaded = load_checkpoint(device="cpu")
    assert loaded.source == "embedded"
    assert (PRETRAINED / WEIGHTS).stat().st_size <= 34_000_000
