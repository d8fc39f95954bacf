"""Quantized maps against the rounding written out, against the kernels' own terms, and as models that answer."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.errors import CheckpointError
from nanochat.lens.look import Lens
from nanochat.model.cache import SlotCache, cache_type
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.facts import facts_of
from nanochat.model.folder import save_folder
from nanochat.model.quantization import (
    MATRICES,
    WEIGHTS_AT_ONCE,
    Int4Linear,
    Int8Linear,
    QuantizedLinear,
    quantization_of,
    quantize,
    quantized,
)
from tests.chat.engines import GREEDY, asked, done, engine_of, in_turn, tokens

KINDS = ["int8", "int4"]
CLASSIC = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": None,
}
CURRENT = {
    **CLASSIC,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "window_pattern": "SL",
    "sliding_window": 5,
    "value_embeddings": True,
    "residual_lambdas": True,
    "smear": True,
    "backout": True,
}


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def model_of(sizes: dict[str, object], dtype: torch.dtype = torch.float32) -> NanoChatForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return NanoChatForCausalLM(NanoChatConfig(**sizes)).eval().to(dtype)


def quantized_model(name: str, sizes: dict[str, object], dtype: torch.dtype = torch.float32) -> NanoChatForCausalLM:
    model = model_of(sizes, dtype)
    quantize(model, name)
    return model


def matrix(single: QuantizedLinear) -> Tensor:
    """What a quantized map multiplies by, asked of it row by row: the map of the unit vectors is the matrix."""
    units = torch.eye(single.in_features, dtype=torch.bfloat16)
    return torch.cat([single.of_rows()(unit) for unit in units.split(4)]).t()


def rounded(weight: Tensor, name: str) -> Tensor:
    """The rounding written out for every weight by itself, in float64 but for what is kept."""
    rows = []
    for row in weight.double():
        groups = row.split(len(row) if name == "int8" else 32)
        rows.append(torch.cat([rounded_group(group, name) for group in groups]))
    return torch.stack(rows)


def rounded_group(group: Tensor, name: str) -> Tensor:
    if name == "int8":
        scale = (group.abs().max() / 127).float().double()
        return (group / scale).round().clamp(-127, 127) * scale
    scale = ((group.max() - group.min()) / 15).bfloat16().double()
    middle = (group.min() + 8 * scale).bfloat16().double()
    return ((group - middle) / scale).round().clamp(-8, 7) * scale + middle


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(16, 32), (48, 96), (80, 64)])
def test_every_weight_is_rounded_as_it_is_written_out(name: str, shape: tuple[int, int]) -> None:
    weight = drawn(*shape) * torch.linspace(0.01, 3, shape[0])[:, None]
    single = quantized(weight, None, name)
    assert single.kind == name
    assert torch.equal(matrix(single), rounded(weight, name).to(matrix(single).dtype))


@pytest.mark.parametrize("name", KINDS)
def test_a_matrix_quantized_in_pieces_is_the_same(name: str) -> None:
    weight = drawn(WEIGHTS_AT_ONCE // 2048 + 80, 2048)
    single = quantized(weight, None, name)
    for start in (0, len(weight) - 16):
        alone = quantized(weight[start : start + 16], None, name)
        inputs = drawn(2, 2048)
        assert torch.equal(single(inputs)[:, start : start + 16], alone(inputs))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rows", [*range(1, 18), 40, 130])
def test_a_product_is_that_of_the_widened_matrix(name: str, rows: int) -> None:
    weight, inputs = drawn(80, 96), drawn(rows, 96)
    single = quantized(weight, None, name)
    exact = inputs.bfloat16().double() @ rounded(weight, name).t()
    # A product is rounded to bfloat16 once.
    torch.testing.assert_close(single(inputs).double(), exact, atol=0.06, rtol=2**-8)
    assert single(inputs).dtype == torch.float32
    assert single(inputs.bfloat16().view(1, rows, 96)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", KINDS)
def test_a_row_in_a_batch_is_what_it_is_alone(name: str) -> None:
    single, inputs = quantized(drawn(80, 96), None, name), drawn(16, 96)
    together = single(inputs)
    assert all(torch.equal(single(row[None])[0], together[place]) for place, row in enumerate(inputs))


def test_a_row_among_many_is_what_it_is_alone_but_for_the_order_of_its_sum() -> None:
    single, inputs = quantized(drawn(80, 96), None, "int8"), drawn(130, 96)
    alone = torch.cat([single(row[None]) for row in inputs])
    assert (single(inputs) != alone).double().mean() < 0.001


@pytest.mark.parametrize("name", KINDS)
def test_a_bias_is_added_and_zeros_stay_zeros(name: str) -> None:
    bias = torch.arange(16.0)
    single = quantized(torch.zeros(16, 32), bias, name)
    assert torch.equal(single(drawn(3, 32)), bias.expand(3, 16))


@pytest.mark.parametrize("shape", [(16, 33), (17, 32), (15, 31), (16, 48), (3, 1), (1, 16)])
@pytest.mark.parametrize("rows", [1, 5, 30])
def test_a_matrix_that_int4_does_not_take_becomes_int8_of_any_shape(shape: tuple[int, int], rows: int) -> None:
    weight, inputs = drawn(*shape), drawn(rows, shape[1])
    single = quantized(weight, None, "int4")
    assert type(single) is Int8Linear
    exact = inputs.bfloat16().double() @ rounded(weight, "int8").t()
    torch.testing.assert_close(single(inputs).double(), exact, atol=0.06, rtol=2**-7)


@pytest.mark.parametrize("name", KINDS)
def test_a_weight_that_is_not_finite_stays_to_be_found(name: str) -> None:
    for broken in (float("nan"), float("inf")):
        weight = drawn(16, 32)
        weight[3, 3] = broken
        assert not quantized(weight, None, name).scales.isfinite().all()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
def test_only_the_large_matrices_change_and_the_tensors_they_were_do_not(name: str, sizes: dict[str, object]) -> None:
    model = model_of(sizes)
    before = {place: tensor.clone() for place, tensor in model.named_parameters()}
    shared = dict(model.named_parameters())
    quantize(model, name)
    changed = {place for place, module in model.named_modules() if isinstance(module, QuantizedLinear)}
    assert {place.rpartition(".")[2] for place in changed} == MATRICES
    assert len(changed) == 6 * len(model.model.layers) + 1
    assert not any(type(module) is nn.Linear and place.endswith("proj") for place, module in model.named_modules())
    assert all(torch.equal(shared[place], tensor) for place, tensor in before.items())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_the_engines_pass_is_the_models(name: str, sizes: dict[str, object], dtype: torch.dtype) -> None:
    model = quantized_model(name, sizes, dtype)
    ids = tuple(range(3, 60))
    expected = model(torch.tensor([ids])).logits[0].float()
    cache = SlotCache(model.config, 2, 128, dtype=cache_type(model.dtype, model.device), device=model.device)
    decoder = SlotDecoder(model, cache)
    (read,) = decoder.read([Segment(cache.slots[0], ids[:40], kept=40)])
    stepped = [decoder.read([Segment(cache.slots[0], (token,))])[0] for token in ids[40:]]
    logits = torch.cat((read, *stepped))
    assert (logits - expected).abs().mean() < 0.1
    assert F.cosine_similarity(logits, expected, dim=-1).min() > 0.99
    # An engine has joined matrices by now; the model's own pass is what it was.
    torch.testing.assert_close(model(torch.tensor([ids])).logits[0].float(), expected)


@pytest.mark.parametrize("name", KINDS)
@torch.inference_mode()
def test_int8_is_nearer_to_the_model_than_int4_and_both_are_near(name: str) -> None:
    ids = torch.arange(3, 90)[None]
    exact, rough = model_of(CLASSIC)(ids).logits, quantized_model(name, CLASSIC)(ids).logits
    assert F.cosine_similarity(exact, rough, dim=-1).mean() > {"int8": 0.9995, "int4": 0.97}[name]


@pytest.mark.parametrize("name", KINDS)
def test_answers_in_a_batch_are_those_alone(name: str, tiny_template: ChatTemplate) -> None:
    model = quantized_model(name, CLASSIC)
    questions = [asked(text) for text in ("Hello", "What is the capital of France?", "123 * 456?", "The fox ran")]
    alone = [[each.id for each in tokens(engine_of(model, tiny_template).stream(one, GREEDY))] for one in questions]
    engine = engine_of(model, tiny_template, slots=4)
    together = in_turn(*(engine.stream(one, GREEDY) for one in questions))
    assert [[each.id for each in tokens(events)] for events in together] == alone
    # The beginning is read from a slot now.
    again = list(engine.stream(questions[1], GREEDY))
    assert done(again).reused_tokens > 0
    assert [each.id for each in tokens(again)] == alone[1]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
@torch.inference_mode()
def test_the_last_row_of_the_lens_is_what_the_model_says(name: str, sizes: dict[str, object]) -> None:
    model = quantized_model(name, sizes)
    ids = list(range(3, 40))
    look = Lens(model).look(ids, len(ids) - 1, layer=1, head=1)
    torch.testing.assert_close(look.logits, model(torch.tensor([ids])).logits[0, -2], atol=0.15, rtol=0.02)
    # Two ids may share the highest logit: the head answers in bfloat16.
    assert look.logits[look.lens[-1].best[0].id] == look.logits.max()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("sizes", [CLASSIC, CURRENT], ids=["classic", "current"])
def test_the_facts_count_the_bytes_there_are_and_the_parameters_there_were(name: str, sizes: dict[str, object]) -> None:
    plain, model = facts_of(model_of(sizes)), quantized_model(name, sizes)
    facts = facts_of(model)
    assert facts.parameters == plain.parameters == sum(tensor.parameters for tensor in facts.tensors)
    assert facts.matrix_parameters == plain.matrix_parameters
    assert [layer.parameters for layer in facts.layers] == [layer.parameters for layer in plain.layers]
    assert facts.size_bytes == sum(tensor.nbytes for tensor in model.state_dict().values())
    head = facts.whole.part("head")
    # int8: a byte a weight and four for each row; int4: half a byte, and four bytes for 32 weights.
    assert head.size_bytes == (384 * 64 + 384 * 4 if name == "int8" else 384 * 64 // 2 + 384 * 2 * 4)
    assert facts.quantized == quantization_of(model) == name
    assert plain.quantized == ""


def test_a_fallback_to_int8_is_told() -> None:
    model = quantized_model("int4", {**CLASSIC, "hidden_size": 48, "num_attention_heads": 4})
    # All but the ones that take 64 or 128 numbers: the rows of 48 are no whole groups of 32.
    assert facts_of(model).quantized == "int4, 11 of 13 matrices int8"
    assert type(model.model.layers[0].mlp.fc2) is Int4Linear


def test_quantized_again_nothing_changes() -> None:
    model = quantized_model("int8", CLASSIC)
    head = model.lm_head
    quantize(model, "int4")
    quantize(model, "none")
    assert model.lm_head is head


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'int3' is not a quantization: use none, int8, int4"):
        quantize(model_of(CLASSIC), "int3")


def test_a_quantized_model_is_not_saved(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = quantized_model("int8", CLASSIC)
    told = "load the model without quantization, and save that"
    with pytest.raises(CheckpointError, match=told):
        save_folder(model, tiny_tokenizer, tmp_path / "model", card="")
    with pytest.raises(CheckpointError, match=told):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", KINDS)
def test_two_engines_of_one_model_hold_its_weights_once(name: str) -> None:
    model = quantized_model(name, {**CLASSIC, "num_key_value_heads": 4})

    def weigh() -> int:
        tensors = model.state_dict().values()
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())

    size = weigh()
    for _ in range(2):
        decoder = SlotDecoder(model, SlotCache(model.config, 1, 32, dtype=torch.float32, device=model.device))
        whole = inspect.getclosurevars(decoder._lean.layers[0]._project).nonlocals
        attention = model.model.layers[0].self_attn
        for single in (attention.q_proj, attention.k_proj, attention.v_proj):
            for mine, joined in ((single.numbers, whole["numbers"]), (single.scales, whole["scales"])):
                assert mine.untyped_storage().data_ptr() == joined.untyped_storage().data_ptr()
    assert weigh() == size
    assert type(copy.deepcopy(model).lm_head).__name__ == type(model.lm_head).__name__
