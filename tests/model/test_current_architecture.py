"""The architecture of today: a forward written out by hand is the oracle, and every way of decoding agrees with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import DynamicCache, StaticCache

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.events import Done
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.model.cache import SlotCache
from nanochat.model.decoder import Segment, SlotDecoder

SMALL: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "eos_token_id": None,
}
ADDED: dict[str, Any] = {
    "padded_vocab_size": 256,
    "qk_scale": 1.2,
    "window_pattern": "SSSL",
    "sliding_window": 9,
    "value_embeddings": True,
    "residual_lambdas": True,
    "smear": True,
    "backout": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
}


def make(**changes: Any) -> NanoChatForCausalLM:
    """Return a small model whose every parameter is random, the gates and scales included."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = NanoChatForCausalLM(NanoChatConfig(**{**SMALL, **ADDED, **changes})).eval()
        for name, parameter in model.named_parameters():
            if any(piece in name for piece in ("smear", "backout", "residual_mix", "value_embedding")):
                torch.nn.init.normal_(parameter, 0.3, 0.5)
    return model


@pytest.fixture(scope="module")
def model() -> NanoChatForCausalLM:
    return make()


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def some_ids(rows: int, length: int) -> Tensor:
    return torch.randint(0, SMALL["vocab_size"], (rows, length), generator=torch.Generator().manual_seed(length))


def norm(vectors: Tensor) -> Tensor:
    return vectors / (vectors.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


def turned(heads: Tensor, base: float) -> Tensor:
    """RoPE over (tokens, heads, size), written as a complex number turned by minus the angle."""
    half = heads.shape[-1] // 2
    angles = torch.arange(heads.shape[0])[:, None] * base ** (-torch.arange(half) / half)
    pairs = torch.complex(heads[..., :half].contiguous(), heads[..., half:].contiguous())
    result = pairs * torch.polar(torch.ones_like(angles), -angles)[:, None]
    return torch.cat((result.real, result.imag), dim=-1)


def by_hand(model: NanoChatForCausalLM, ids: list[int]) -> Tensor:
    """Compute the logits of one text from the weights alone: no cache, no mask, one layer and token after another."""
    weights, config = model.state_dict(), model.config
    layers, size = config.num_hidden_layers, config.hidden_size // config.num_attention_heads
    shared = config.num_attention_heads // config.num_key_value_heads
    stream = norm(weights["model.embed_tokens.weight"][ids])
    gates = torch.sigmoid(stream[:, :24] @ weights["model.smear.gate.weight"].T) * weights["model.smear.scale"]
    start = torch.cat((stream[:1], stream[1:] + gates[1:] * stream[:-1]))
    stream = start
    for layer in range(layers):
        own = {k.split(".", 3)[3]: v for k, v in weights.items() if k.startswith(f"model.layers.{layer}.")}
        stream = own["residual_mix.stream"] * stream + own["residual_mix.start"] * start
        seen = norm(stream)
        query, key, value = ((seen @ own[f"self_attn.{n}_proj.weight"].T).unflatten(-1, (-1, size)) for n in "qkv")
        if "self_attn.value_embedding.table.weight" in own:
            gate = 3 * torch.sigmoid(seen[:, :12] @ own["self_attn.value_embedding.gate.weight"].T)
            value = value + gate[..., None] * own["self_attn.value_embedding.table.weight"][ids].view_as(value)
        query, key = (
            norm(turned(heads, config.rope_parameters["rope_theta"])) * config.qk_scale for heads in (query, key)
        )
        short = config.window_pattern[layer % len(config.window_pattern)] == "S" and layer != layers - 1
        gathered = []
        for token in range(len(ids)):
            first = max(0, token + 1 - config.sliding_window) if short else 0
            keys, values = (heads[first : token + 1].repeat_interleave(shared, dim=1) for heads in (key, value))
            scores = torch.einsum("hd,khd->hk", query[token], keys) / size**0.5
            gathered.append(torch.einsum("hk,khd->hd", scores.softmax(-1), values).flatten())
        stream = stream + torch.stack(gathered) @ own["self_attn.o_proj.weight"].T
        stream = stream + F.relu(norm(stream) @ own["mlp.fc1.weight"].T).square() @ own["mlp.fc2.weight"].T
        if layer == layers // 2:
            halfway = stream
    stream = norm(stream - weights["model.backout.scale"] * halfway)
    return 15 * torch.tanh((stream @ weights["lm_head.weight"].T)[:, : config.vocab_size] / 15)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 4},
        {"window_pattern": "SL", "sliding_window": 1},
        {"num_key_value_heads": 1, "padded_vocab_size": None},
        {"attn_implementation": "eager"},
    ],
    ids=str,
)
def test_logits_are_those_of_the_same_sums_written_out_by_hand(changes: dict[str, Any]) -> None:
    model = make(**changes)
    ids = some_ids(1, 40)
    torch.testing.assert_close(model(ids).logits[0], by_hand(model, ids[0].tolist()), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "addition", ["qk_scale", "window_pattern", "value_embeddings", "residual_lambdas", "smear", "backout"]
)
def test_every_addition_can_stand_alone_and_changes_the_logits(addition: str) -> None:
    alone = {key: getattr(NanoChatConfig, key) for key in ADDED if key != "rope_parameters"}
    ids = some_ids(1, 40)
    classic = make(**alone, rope_parameters=None)
    added = {addition: ADDED[addition]}
    if addition == "window_pattern":
        added["sliding_window"] = 9
    changed = make(**{**alone, **added}, rope_parameters=None)
    changed.load_state_dict(classic.state_dict(), strict=False)
    full = changed(ids).logits
    assert (full - classic(ids).logits).abs().max() > 1e-3
    torch.testing.assert_close(stepped(changed, ids, DynamicCache(config=changed.config), (3, 1)), full)


def stepped(model: NanoChatForCausalLM, ids: Tensor, cache: Any, lengths: tuple[int, ...]) -> Tensor:
    """Read the ids through a cache in pieces of the given lengths, over and over, and return all logits."""
    logits, place, turn = [], 0, 0
    while place < ids.shape[1]:
        piece = ids[:, place : place + lengths[turn % len(lengths)]]
        logits.append(model(piece, past_key_values=cache, use_cache=True).logits)
        place, turn = place + piece.shape[1], turn + 1
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("lengths", [(1,), (7, 1, 1), (20, 3)], ids=str)
@pytest.mark.parametrize("kind", ["with config", "without config", "static"])
def test_reading_through_any_cache_in_any_pieces_is_one_full_pass(
    model: NanoChatForCausalLM, kind: str, lengths: tuple[int, ...]
) -> None:
    cache = {
        "with config": lambda: DynamicCache(config=model.config),
        "without config": DynamicCache,
        "static": lambda: StaticCache(config=model.config, max_cache_len=48),
    }[kind]()
    ids = some_ids(2, 40)
    torch.testing.assert_close(stepped(model, ids, cache, lengths), model(ids).logits, rtol=0, atol=2e-5)


def test_a_windowed_layer_keeps_no_more_than_its_window(model: NanoChatForCausalLM) -> None:
    cache = model(some_ids(1, 40), use_cache=True).past_key_values
    kept = [layer.keys.shape[2] for layer in cache.layers[: model.config.num_hidden_layers]]
    assert kept == [8, 8, 8, 40, 40]


@pytest.mark.parametrize("named", ["positions", "no positions"])
def test_padding_on_the_left_changes_nothing(model: NanoChatForCausalLM, named: str) -> None:
    long, short = some_ids(1, 24), some_ids(1, 11)
    batch = torch.cat((long, F.pad(short, (13, 0), value=5)))
    mask = torch.ones_like(batch)
    mask[1, :13] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0) if named == "positions" else None
    logits = model(batch, attention_mask=mask, position_ids=positions).logits
    torch.testing.assert_close(logits[0], model(long).logits[0], rtol=0, atol=2e-5)
    torch.testing.assert_close(logits[1, 13:], model(short).logits[0], rtol=0, atol=2e-5)


def test_texts_packed_into_one_row_do_not_leak_into_each_other(model: NanoChatForCausalLM) -> None:
    first, second = some_ids(1, 17), some_ids(1, 23)
    positions = torch.cat((torch.arange(17), torch.arange(23)))[None]
    packed = model(torch.cat((first, second), dim=1), position_ids=positions, use_cache=False).logits
    apart = torch.cat((model(first).logits, model(second).logits), dim=1)
    torch.testing.assert_close(packed, apart, rtol=0, atol=2e-5)


def greedy_by_hand(model: NanoChatForCausalLM, prompt: Tensor, tokens: int) -> list[int]:
    ids: list[int] = prompt.tolist()
    for _ in range(tokens):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def test_a_batch_of_generate_answers_each_prompt_as_alone(model: NanoChatForCausalLM) -> None:
    long, short = some_ids(1, 14)[0], some_ids(1, 6)[0]
    batch = torch.stack((long, F.pad(short, (8, 0), value=5)))
    mask = torch.tensor([[1] * 14, [0] * 8 + [1] * 6])
    answers = model.generate(batch, attention_mask=mask, max_new_tokens=20, do_sample=False, pad_token_id=5)
    assert answers[0, 14:].tolist() == greedy_by_hand(model, long, 20)
    assert answers[1, 14:].tolist() == greedy_by_hand(model, short, 20)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"prompt_lookup_num_tokens": 3},
        {"prefill_chunk_size": 5},
    ],
    ids=str,
)
def test_every_way_of_generating_gives_the_greedy_answer(model: NanoChatForCausalLM, how: dict[str, Any]) -> None:
    prompt = some_ids(1, 4).repeat(1, 4)
    answer = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=16, do_sample=False, pad_token_id=5, **how
    )
    assert answer[0, 16:].tolist() == greedy_by_hand(model, prompt[0], 16)


def test_beams_carry_their_own_past(model: NanoChatForCausalLM) -> None:
    prompt = some_ids(1, 9)
    how = {"max_new_tokens": 10, "num_beams": 3, "do_sample": False, "pad_token_id": 5}
    mask = torch.ones_like(prompt)
    cached = model.generate(prompt, attention_mask=mask, **how)
    assert cached.tolist() == model.generate(prompt, attention_mask=mask, use_cache=False, **how).tolist()


def test_a_cropped_cache_reads_on_as_if_the_rest_had_not_been_there() -> None:
    model = make(window_pattern="L", sliding_window=None)
    ids = some_ids(1, 30)
    cache = model(ids, use_cache=True).past_key_values
    cache.crop(-12)
    torch.testing.assert_close(model(ids[:, 18:], past_key_values=cache).logits, model(ids).logits[:, 18:])


def test_recomputing_activations_in_training_gives_the_same_gradients(model: NanoChatForCausalLM) -> None:
    ids = some_ids(2, 24)
    gradients = []
    for recompute in (False, True):
        trained = copy.deepcopy(model).train()
        if recompute:
            trained.activation_checkpointing_enable()
        with torch.enable_grad():
            trained(ids, labels=ids, use_cache=False).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in trained.named_parameters()})
    plain, recomputed = gradients
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in plain.values())
    torch.testing.assert_close(recomputed, plain)


def test_training_starts_from_the_originals_values() -> None:
    fresh = NanoChatForCausalLM(NanoChatConfig(**{**SMALL, **ADDED}))
    weights = fresh.state_dict()
    assert [round(weights[f"model.layers.{n}.residual_mix.stream"].item(), 4) for n in (0, 4)] == [1.15, 1.05]
    assert [round(weights[f"model.layers.{n}.residual_mix.start"].item(), 4) for n in (0, 4)] == [0.2, 0.05]
    assert weights["model.smear.scale"].item() == 0
    assert round(weights["model.backout.scale"].item(), 4) == 0.2
    assert 0 <= weights["model.smear.gate.weight"].min() <= weights["model.smear.gate.weight"].max() <= 0.02


def test_a_saved_model_loads_with_every_addition(model: NanoChatForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = NanoChatForCausalLM.from_pretrained(tmp_path)
    ids = some_ids(1, 20)
    assert again.config.layer_types == model.config.layer_types
    assert torch.equal(again(ids).logits, model(ids).logits)


def test_a_short_window_is_a_quarter_of_the_context_in_whole_tiles_and_the_token_itself() -> None:
    windows = {
        context: NanoChatConfig(max_position_embeddings=context, window_pattern="SSSL").sliding_window
        for context in (256, 512, 513, 2048, 2056)
    }
    assert windows == {256: 129, 512: 129, 513: 257, 2048: 513, 2056: 641}


def test_the_last_layer_always_sees_everything() -> None:
    kinds = NanoChatConfig(num_hidden_layers=4, window_pattern="S").layer_types
    assert kinds == ["sliding_attention"] * 3 + ["full_attention"]


@pytest.mark.parametrize(
    "wrong",
    [{"window_pattern": "SXL"}, {"window_pattern": ""}, {"sliding_window": 5}, {"padded_vocab_size": 5}],
    ids=str,
)
def test_a_config_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"window|padded"):
        NanoChatConfig(**wrong)


def test_embeddings_without_ids_are_refused_where_values_are_looked_up(model: NanoChatForCausalLM) -> None:
    with pytest.raises(ValueError, match="input_ids"):
        model(inputs_embeds=torch.zeros(1, 3, 32))


def test_the_defaults_are_classic_in_every_parameter_and_every_bit() -> None:
    ours = NanoChatForCausalLM(NanoChatConfig(**SMALL)).eval()
    theirs = transformers.NanoChatForCausalLM(transformers.NanoChatConfig(**SMALL)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ids = some_ids(2, 30)
    assert torch.equal(ours(ids).logits, theirs(ids).logits)
    assert set(ours.config.to_diff_dict()) == set(theirs.config.to_diff_dict())


@pytest.mark.parametrize("changes", [{}, {"window_pattern": "L", "sliding_window": None}], ids=str)
def test_slots_read_several_texts_in_any_rhythm_as_one_full_pass_of_each(changes: dict[str, Any]) -> None:
    model = make(**changes)
    cache = SlotCache(model.config, 3, 64, dtype=torch.float32, device=model.device)
    decoder = SlotDecoder(model, cache)
    texts = [some_ids(1, length)[0].tolist() for length in (40, 33, 26)]
    whole = [model(torch.tensor([ids])).logits[0] for ids in texts]
    for step in range(40):
        read = []
        for slot, ids in zip(cache.slots, texts, strict=True):
            piece = ids[len(slot.ids) :][: (1, 1 + 3 * (step % 2), step % 3)[slot.index]]
            read += [Segment(slot, tuple(piece), kept=len(piece))] if piece else []
        for segment, logits in zip(read, decoder.read(read) if read else [], strict=True):
            end = len(segment.slot.ids)
            expected = whole[segment.slot.index][end - len(segment.ids) : end]
            torch.testing.assert_close(logits, expected, rtol=0, atol=2e-5)
    assert [len(slot.ids) for slot in cache.slots] == [40, 33, 26]


def test_a_slot_cut_back_to_a_shared_beginning_reads_on_as_if_it_had_been_alone(model: NanoChatForCausalLM) -> None:
    cache = SlotCache(model.config, 2, 64, dtype=torch.float32, device=model.device)
    decoder = SlotDecoder(model, cache)
    first = some_ids(1, 44)[0].tolist()
    for shared in (43, 30, 25, 1):
        ids = [*first[:shared], *some_ids(1, 12)[0].tolist()]
        slot = cache.take(ids)
        assert slot is not None
        decoder.read([Segment(slot, tuple(ids[len(slot.ids) :]))])
        (logits,) = decoder.read([Segment(slot, (7,))])
        torch.testing.assert_close(logits[0], model(torch.tensor([[*ids, 7]])).logits[0, -1], rtol=0, atol=2e-5)
        cache.release(slot)


def test_the_engine_answers_greedily_as_generate_does_and_reuses_turns(tiny_template: ChatTemplate) -> None:
    model = make(vocab_size=tiny_template.vocab_size, padded_vocab_size=None, max_position_embeddings=256)
    engine = LocalEngine(model, tiny_template, EngineLimits(slots=2))
    greedy = SamplingSettings(temperature=0.0, max_tokens=12)
    conversation = Conversation.from_messages([{"role": "user", "content": "Where does the river stop?"}])
    for turn in range(3):
        prompt = tiny_template.prompt(conversation)
        done = list(engine.stream(conversation, greedy))[-1]
        assert isinstance(done, Done)
        produced = list(done.message.ids or ())
        assert produced == greedy_by_hand(model, torch.tensor(prompt), 12)[: len(produced)]
        assert (done.reused_tokens > 0) == (turn > 0)
        conversation = conversation.append(done.message).append(Message("user", "And what then?"))
