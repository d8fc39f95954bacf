"""The lean pieces against the modules they stand for."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.model.attention import NanoChatRMSNorm
from nanochat.model.cache import SlotCache, cache_type
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.lean import LeanLayer, even_rows, fused, lean_linear, normalized, rotated, signed_sine
from nanochat.model.quantization import Int8Linear
from nanochat.model.rotary import rotate


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def model_of(**fields: object) -> NanoChatForCausalLM:
    sizes = {"vocab_size": 96, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return NanoChatForCausalLM(NanoChatConfig(**{**sizes, **heads, "initializer_range": 0.2, **fields})).eval()


def decoder_of(model: NanoChatForCausalLM) -> SlotDecoder:
    kind = cache_type(model.dtype, model.device)
    return SlotDecoder(model, SlotCache(model.config, 8, 64, dtype=kind, device=model.device))


@pytest.mark.parametrize("shape", [(1, 48), (5, 48), (5, 3, 12)])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_the_norm_is_the_models(shape: tuple[int, ...], scale: float) -> None:
    vectors = scale * random(*shape)
    eps = torch.tensor(1e-6)
    torch.testing.assert_close(normalized(vectors, eps), NanoChatRMSNorm(1e-6)(vectors), atol=1e-6, rtol=1e-5)
    assert normalized(torch.zeros(shape), eps).count_nonzero() == 0


def test_the_rotation_is_the_models() -> None:
    heads, angles = random(9, 3, 16), random(9, 8)
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos(), angles.sin()
    expected = rotate(heads.transpose(0, 1)[None], cos[None], sin[None])[0].transpose(0, 1)
    torch.testing.assert_close(rotated(heads, cos[:, None], signed_sine(sin)[:, None]), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_fused_maps_hold_their_weights_once(bias: bool) -> None:
    maps = [nn.Linear(16, rows, bias=bias) for rows in (8, 4, 4)]
    inputs = random(3, 16)
    expected = torch.cat([single(inputs) for single in maps], dim=-1)
    weight, joined_bias = fused(*maps)
    torch.testing.assert_close(F.linear(inputs, weight, joined_bias), expected)
    torch.testing.assert_close(torch.cat([single(inputs) for single in maps], dim=-1), expected)
    weight[8] = 0
    assert maps[1].weight[0].count_nonzero() == 0
    again, _ = fused(*maps)
    assert again.data_ptr() == weight.data_ptr()


def test_a_fused_model_is_saved_and_used_like_any_other(tmp_path: object) -> None:
    model = model_of()
    before = copy.deepcopy(model.state_dict())
    size = sum(parameter.untyped_storage().nbytes() for parameter in model.parameters())
    decoder_of(model)
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    assert sum(storages.values()) == size
    model.save_pretrained(tmp_path)
    loaded = NanoChatForCausalLM.from_pretrained(tmp_path)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("rows", range(1, 17))
def test_bfloat16_maps_are_right_for_any_number_of_rows(rows: int) -> None:
    weight, inputs = random(24, 16).bfloat16(), random(rows, 16).bfloat16()
    expected = F.linear(inputs.double(), weight.double())
    torch.testing.assert_close(lean_linear(weight)(inputs).double(), expected, atol=0.05, rtol=0.02)
    single = nn.Linear(16, 24, bias=False)
    assert even_rows(rows, single) == rows
    assert even_rows(rows, single.bfloat16()) == (8 if 2 <= rows <= 7 else rows)
    assert even_rows(rows, Int8Linear.of(single.weight)) == rows


@pytest.mark.parametrize("fields", [{}, {"attention_bias": True}, {"hidden_act": "silu"}, {"num_key_value_heads": 4}])
@torch.inference_mode()
def test_a_lean_pass_equals_the_models(fields: dict[str, object]) -> None:
    model = model_of(**fields)
    for parameter in model.parameters():
        parameter.add_(0.01)  # biases start at zero
    ids = tuple(range(3, 40))
    expected = model(torch.tensor([ids])).logits[0]
    decoder = decoder_of(model)
    (logits,) = decoder.read([Segment(decoder.cache.slots[0], ids, kept=len(ids))])
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
@torch.inference_mode()
def test_bfloat16_rows_in_a_batch_are_close_to_the_exact_ones(count: int) -> None:
    exact = model_of()
    decoder = decoder_of(copy.deepcopy(exact).bfloat16())
    prompts = [tuple(range(3 + row, 23 + row)) for row in range(count)]
    decoder.read([Segment(slot, ids, kept=0) for slot, ids in zip(decoder.cache.slots, prompts, strict=False)])
    logits = decoder.read([Segment(slot, (5,)) for slot in decoder.cache.slots[:count]])
    for row, ids in zip(logits, prompts, strict=True):
        expected = exact(torch.tensor([[*ids, 5]])).logits[0, -1]
        assert row.dtype == torch.float32
        assert (row[0] - expected).abs().mean() < 0.1
        assert torch.nn.functional.cosine_similarity(row[0], expected, dim=0) > 0.99


def test_keys_and_values_of_a_cpu_are_kept_in_float32() -> None:
    assert cache_type(torch.bfloat16, torch.device("cpu")) == torch.float32
    assert cache_type(torch.bfloat16, torch.device("cuda")) == torch.bfloat16


def test_a_layer_tells_where_it_looks() -> None:
    model = model_of(window_pattern="SL", sliding_window=16)
    layers = [LeanLayer(layer, model.dtype, model.device) for layer in model.model.layers]
    assert [layer.window for layer in layers] == [16, None]


def test_a_model_that_an_engine_has_run_can_be_saved(tiny_model: NanoChatForCausalLM, tmp_path: Path) -> None:
    model = copy.deepcopy(tiny_model)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    SlotDecoder(model, SlotCache(model.config, 1, 32, dtype=torch.float32, device=torch.device("cpu")))
    model.save_pretrained(tmp_path)
    saved = NanoChatForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in expected.items())
