"""A model that is quantized while it is loaded: the same as one quantized afterwards, in less memory."""

from __future__ import annotations

import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.errors import CheckpointError
from nanochat.model.assembly import assemble
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.folder import save_folder
from nanochat.model.gpu_quantization import check_place
from nanochat.model.quantization import MATRICES, QuantizedLinear, quantization_of, quantize

KINDS = ["int8", "int4"]
SIZES = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": None,
}


def model_of(**changes: object) -> NanoChatForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NanoChatForCausalLM(NanoChatConfig(**{**SIZES, **changes})).eval()


@pytest.fixture
def sharded(tiny_tokenizer: object, tmp_path: Path) -> Path:
    model = model_of()
    save_folder(model, tiny_tokenizer, tmp_path, card="")  # type: ignore[arg-type]
    (tmp_path / "model.safetensors").unlink()
    save_torch_state_dict(model.state_dict(), tmp_path, max_shard_size=100_000)
    assert len(list(tmp_path.glob("*.safetensors"))) > 5
    return tmp_path


def largest_allocation(act: Callable[[], object]) -> int:
    """The most bytes of tensors that were there at once during the act, beyond those there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        kept = act()
    events = recorded.profiler.kineto_results.events()
    assert kept is not None
    return max(accumulate(event.nbytes() for event in events if event.name() == "[memory]"))


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_loaded_quantized_is_the_model_quantized_afterwards(name: str, sharded: Path) -> None:
    expected = load_checkpoint(str(sharded), device="cpu")
    quantize(expected.model, name)
    loaded = load_checkpoint(str(sharded), device="cpu", quantize=name)
    assert quantization_of(loaded.model) == name
    assert loaded.checksum == expected.checksum
    assert loaded.model.dtype == expected.model.dtype
    for place, tensor in expected.model.state_dict().items():
        found = loaded.model.state_dict()[place]
        assert torch.equal(found, tensor), place
    assert not loaded.model.training
    assert loaded.model.generation_config.eos_token_id == [379, 375]
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(loaded.model(ids).logits.float(), expected.model(ids).logits, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("name", KINDS)
def test_loading_takes_the_quantized_model_and_one_layer_more(
    name: str, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As much smaller as the model is than those this is for.
    monkeypatch.setattr("nanochat.model.quantization.WEIGHTS_AT_ONCE", 4096)
    plain = model_of()
    layer = sum(parameter.nbytes for parameter in plain.model.layers[0].parameters())
    model = load_checkpoint(str(sharded), device="cpu", quantize=name).model
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    largest = largest_allocation(lambda: load_checkpoint(str(sharded), device="cpu", quantize=name))
    assert size <= largest <= size + layer
    # Six layers are what loading first and quantizing afterwards takes.
    assert size + layer < sum(parameter.nbytes for parameter in plain.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_no_matrix_outlives_the_moment_it_is_quantized(name: str) -> None:
    plain = model_of(attention_bias=True)
    state = plain.state_dict()
    read_before: list[weakref.ref[Tensor]] = []

    def read() -> Iterator[tuple[str, Tensor]]:
        for place in sorted(state):  # a bias comes before its weight
            tensor = state[place].clone()
            read_before.append(weakref.ref(tensor))
            yield place, tensor
            del tensor
            assert [each for each in read_before if each() is not None] == []

    model = assemble(plain.config, read(), torch.bfloat16, name)
    assert len(read_before) == len(state)
    quantize(plain, name)
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(model(ids).logits.float(), plain(ids).logits, atol=0.02, rtol=0.02)


def test_without_quantization_every_tensor_arrives_in_the_type_asked_for() -> None:
    plain = model_of()
    state = plain.state_dict()
    model = assemble(plain.config, state.items(), torch.float32, "none")
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert quantization_of(model) == ""


def test_a_head_that_shares_the_embedding_is_quantized_and_the_embedding_is_not(
    tiny_tokenizer: object, tmp_path: Path
) -> None:
    model = model_of(tie_word_embeddings=True)
    save_folder(model, tiny_tokenizer, tmp_path, card="")  # type: ignore[arg-type]
    stored = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(stored, tmp_path / "model.safetensors")
    loaded = load_checkpoint(str(tmp_path), device="cpu", quantize="int8").model
    assert isinstance(loaded.lm_head, QuantizedLinear)
    table = loaded.model.embed_tokens.weight
    matrix = loaded.lm_head.numbers * loaded.lm_head.scales[:, None]
    torch.testing.assert_close(matrix, table.float(), atol=1e-3, rtol=0.01)


def test_weights_that_are_not_finite_are_found_behind_their_rounding(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.fc1.weight"][5, 5] = float("nan")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"fc1\.scales holds numbers that are not finite"):
        load_checkpoint(str(folder), device="cpu", quantize="int8")


def test_a_type_that_is_asked_for_is_that_of_what_is_not_quantized(tiny_checkpoint: Path) -> None:
    model = load_checkpoint(str(tiny_checkpoint), device="cpu", dtype="float32", quantize="int8").model
    assert model.model.embed_tokens.weight.dtype == torch.float32
    assert {place.rpartition(".")[2] for place, each in model.named_modules() if isinstance(each, QuantizedLinear)} == (
        MATRICES
    )


def test_room_is_asked_for_what_the_quantized_model_takes(sharded: Path) -> None:
    rooms: dict[str, int] = {}
    for name in ("none", *KINDS):
        load_checkpoint(
            str(sharded), device="cpu", quantize=name, make_room=lambda size, name=name: rooms.update({name: size})
        )
    assert rooms["none"] > 3 * rooms["int8"] > 3 * rooms["int4"]


@pytest.mark.parametrize(
    ("name", "device", "installed", "told"),
    [
        ("none", "cuda", False, None),
        ("none", "mps", False, None),
        ("int8", "cpu", False, None),
        ("int8", "cuda", True, None),
        ("int4", "cuda:1", False, "int4 on a GPU needs bitsandbytes: run `pip install bitsandbytes`, or leave"),
        ("int8", "mps", True, "int8 runs on cpu and on cuda, not on mps: set NANOCHAT_DEVICE=cpu."),
    ],
)
def test_a_gpu_without_the_library_is_told_which_one(
    name: str, device: str, installed: bool, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanochat.model.gpu_quantization.find_spec", lambda _: sys.__spec__ if installed else None)
    if told is None:
        check_place(name, torch.device(device))
    else:
        with pytest.raises(CheckpointError, match=told):
            check_place(name, torch.device(device))


def test_an_unknown_quantization_is_refused_before_anything_is_read() -> None:
    with pytest.raises(CheckpointError, match="'int2' is not a quantization: use none, int8, int4"):
        load_checkpoint("/nowhere", quantize="int2")
