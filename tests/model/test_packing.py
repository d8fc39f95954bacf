"""Packed matrices answer what they answered before, and can be looked into, counted and saved like any other."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from nanochat import NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.lens.look import Lens
from nanochat.model.cache import SlotCache, cache_type
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.facts import facts_of
from nanochat.model.lean import even_rows
from nanochat.model.packing import FULL_ROWS, PackedLinear, pack
from nanochat.model.quantization import MATRICES, quantization_of, quantize
from tests.chat.engines import GREEDY, asked, engine_of, in_turn, tokens
from tests.model.test_quantization import CLASSIC, CURRENT, drawn, model_of

TYPES = [torch.float32, torch.bfloat16]


def packed_model(sizes: dict[str, object], dtype: torch.dtype = torch.float32) -> NanoChatForCausalLM:
    model = model_of(sizes, dtype)
    pack(model)
    return model


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(80, 96), (7, 5), (1, 1), (33, 17)])
@pytest.mark.parametrize("rows", [1, 2, 8, 130])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_packed_map_is_the_map(dtype: torch.dtype, shape: tuple[int, int], rows: int, bias: bool) -> None:
    single = nn.Linear(shape[1], shape[0], bias=bias).to(dtype)
    packed, inputs = PackedLinear(single.weight, single.bias), drawn(rows, shape[1]).to(dtype)
    exact = nn.functional.linear(inputs.double(), single.weight.double(), single.bias.double() if bias else None)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.02, "rtol": 2**-7}
    torch.testing.assert_close(packed(inputs).double(), exact, **close)
    torch.testing.assert_close(packed(inputs[None]), packed(inputs)[None])
    assert torch.equal(packed.state_dict()["weight"], single.weight)


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 130])
def test_a_few_rows_in_bfloat16_fill_the_registers_they_have(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    single = nn.Linear(16, 24)
    packed = PackedLinear(single.bfloat16().weight, None)
    for plain, expected in ((True, max(count, FULL_ROWS) if count else 0), (False, count)):
        monkeypatch.setattr("nanochat.model.packing._has_plain_avx512", lambda plain=plain: plain)
        assert even_rows(count, packed) == expected
        assert even_rows(count, PackedLinear(single.float().weight, None)) == count


@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
@pytest.mark.parametrize("dtype", TYPES)
@torch.inference_mode()
def test_the_engines_pass_is_the_models(sizes: dict[str, object], dtype: torch.dtype) -> None:
    ids = tuple(range(3, 60))
    expected = model_of(sizes)(torch.tensor([ids])).logits[0]
    model = packed_model(sizes, dtype)
    cache = SlotCache(model.config, 2, 128, dtype=cache_type(model.dtype, model.device), device=model.device)
    decoder = SlotDecoder(model, cache)
    (read,) = decoder.read([Segment(cache.slots[0], ids[:40], kept=40)])
    stepped = [decoder.read([Segment(cache.slots[0], (token,))])[0] for token in ids[40:]]
    logits = torch.cat((read, *stepped))
    if dtype == torch.float32:
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    else:
        assert nn.functional.cosine_similarity(logits, expected, dim=-1).min() > 0.99


@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
def test_only_the_large_matrices_are_packed_and_all_else_stays(sizes: dict[str, object], tmp_path: Path) -> None:
    plain, model = model_of(sizes), model_of(sizes)
    shared = dict(model.named_parameters())
    pack(model)
    changed = {place for place, module in model.named_modules() if isinstance(module, PackedLinear)}
    assert {place.rpartition(".")[2] for place in changed} == MATRICES
    before = plain.state_dict()
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(shared[name], tensor) for name, tensor in plain.named_parameters())
    facts, expected = facts_of(model), facts_of(plain)
    assert {tensor.name: tensor for tensor in facts.tensors} == {tensor.name: tensor for tensor in expected.tensors}
    assert (facts.whole.size_bytes, facts.flops_a_token(3)) == (expected.whole.size_bytes, expected.flops_a_token(3))
    model.save_pretrained(tmp_path)
    again = NanoChatForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in before.items())


def test_answers_in_a_batch_are_those_alone(tiny_template: ChatTemplate) -> None:
    model = packed_model(CLASSIC)
    questions = [asked(text) for text in ("Hello", "What is the capital of France?", "123 * 456?", "The fox ran")]
    plain = engine_of(model_of(CLASSIC), tiny_template)
    expected = [[each.id for each in tokens(plain.stream(one, GREEDY))] for one in questions]
    engine = engine_of(model, tiny_template, slots=4)
    together = in_turn(*(engine.stream(one, GREEDY) for one in questions))
    assert [[each.id for each in tokens(events)] for events in together] == expected


@torch.inference_mode()
def test_a_packed_model_can_be_looked_into() -> None:
    ids = list(range(3, 40))
    plain, look = (Lens(model).look(ids, 36, layer=1, head=1) for model in (model_of(CLASSIC), packed_model(CLASSIC)))
    torch.testing.assert_close(look.logits, plain.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(look.attention, plain.attention, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_packed_stays_as_it_is(tiny_model: NanoChatForCausalLM) -> None:
    for model in (copy.deepcopy(tiny_model).half(), copy.deepcopy(tiny_model).to("meta")):
        pack(model)
        assert not any(isinstance(module, PackedLinear) for module in model.modules())
    quantized = model_of(CLASSIC)
    quantize(quantized, "int8")
    pack(quantized)
    assert quantization_of(quantized) == "int8"
    assert not any(isinstance(module, PackedLinear) for module in quantized.modules())
