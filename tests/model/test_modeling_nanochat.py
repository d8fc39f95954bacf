"""Our model against transformers' own port, over random architectures, and against what the original computed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from nanochat import NanoChatConfig, NanoChatForCausalLM
from tests.original import GOLDEN, expected

Oracle = transformers.NanoChatForCausalLM
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
SEEDS = range(24)
BOTH_ATTENTIONS = pytest.mark.parametrize("attention", ["sdpa", "eager"])


@dataclass(frozen=True)
class Case:
    """One random architecture in both implementations, with the same weights, and a batch to feed it."""

    ours: NanoChatForCausalLM
    theirs: transformers.NanoChatForCausalLM
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


def draw_sizes(draw: random.Random) -> dict[str, Any]:
    heads = draw.choice([1, 2, 4, 6])
    kv_heads = draw.choice([count for count in (1, 2, 3, 4, 6) if heads % count == 0])
    return {
        "vocab_size": draw.randint(40, 90),
        "hidden_size": heads * 2 * draw.randint(2, 6),
        "intermediate_size": draw.randint(10, 100),
        "num_hidden_layers": draw.randint(1, 3),
        "num_attention_heads": heads,
        "num_key_value_heads": draw.choice([kv_heads, None]),
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
        "final_logit_softcapping": draw.choice([15.0, 15.0, 3.0, None]),
        "rms_norm_eps": draw.choice([1e-6, 1e-5]),
        "attention_bias": draw.random() < 0.2,
        "tie_word_embeddings": draw.random() < 0.2,
        "rope_parameters": draw.choice(
            [
                None,
                {"rope_type": "default", "rope_theta": 100_000.0},
                {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0},
                {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16},
            ]
        ),
        "pad_token_id": draw.choice([None, 1]),
    }


def draw_batch(draw: random.Random, vocab_size: int) -> dict[str, Tensor]:
    """Return ids, a mask with padding on the left, on the right or nowhere, and labels with holes."""
    batch, length = draw.randint(1, 4), draw.randint(6, 14)
    mask = torch.ones(batch, length, dtype=torch.long)
    side = draw.choice(["left", "right", "none"])
    for row in range(1, batch):
        padded = draw.randint(0, length - 3)
        if side != "none" and padded:
            mask[row, slice(0, padded) if side == "left" else slice(length - padded, length)] = 0
    ids = torch.randint(0, vocab_size, (batch, length))
    ignored = (mask == 0) | (torch.rand(batch, length) < 0.2)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(ignored, -100)}


@cache
def case(seed: int, attention: str = "sdpa") -> Case:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    sizes = draw_sizes(draw)
    theirs = Oracle(transformers.NanoChatConfig(**sizes, attn_implementation=attention)).eval()
    ours = NanoChatForCausalLM(NanoChatConfig(**sizes, attn_implementation=attention)).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return Case(ours, theirs, **draw_batch(draw, sizes["vocab_size"]))


def left_padded(drawn: Case) -> dict[str, Tensor]:
    """The same batch with its padding in front, the way `generate` wants it."""
    return {"input_ids": drawn.input_ids, "attention_mask": drawn.attention_mask.sort(dim=1).values}


def assert_close(ours: Tensor | tuple[Tensor, ...], theirs: Tensor | tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_dict_of_one_loads_strictly_into_the_other(seed: int) -> None:
    drawn = case(seed)
    changed = {name: torch.randn_like(tensor) for name, tensor in drawn.ours.state_dict().items()}
    Oracle(drawn.theirs.config).load_state_dict(changed, strict=True)
    NanoChatForCausalLM(drawn.ours.config).load_state_dict(drawn.theirs.state_dict(), strict=True)


@BOTH_ATTENTIONS
@pytest.mark.parametrize("seed", SEEDS)
def test_logits_loss_and_gradients_are_those_of_transformers(seed: int, attention: str) -> None:
    drawn = case(seed, attention)
    batch = {"input_ids": drawn.input_ids, "attention_mask": drawn.attention_mask, "labels": drawn.labels}
    ours, theirs = drawn.ours(**batch), drawn.theirs(**batch)
    assert_close(ours.logits, theirs.logits)
    assert_close(ours.loss, theirs.loss)
    assert list(ours.keys()) == list(theirs.keys())
    names, parameters = zip(*drawn.ours.named_parameters(), strict=True)
    expected_gradients = dict(zip(names, torch.autograd.grad(theirs.loss, drawn.theirs.parameters()), strict=True))
    for name, gradient in zip(names, torch.autograd.grad(ours.loss, parameters), strict=True):
        assert_close(gradient, expected_gradients[name])


@BOTH_ATTENTIONS
@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_hidden_states_and_attentions_are_those_of_transformers(seed: int, attention: str) -> None:
    drawn = case(seed, attention)
    wanted = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    ours = drawn.ours(drawn.input_ids, attention_mask=drawn.attention_mask, **wanted)
    theirs = drawn.theirs(drawn.input_ids, attention_mask=drawn.attention_mask, **wanted)
    assert len(ours.hidden_states) == drawn.ours.config.num_hidden_layers + 1
    assert_close(ours.hidden_states, theirs.hidden_states)
    if attention == "eager":
        assert len(ours.attentions) == drawn.ours.config.num_hidden_layers
        assert_close(ours.attentions, theirs.attentions)


@BOTH_ATTENTIONS
@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_steps_through_the_cache_are_those_of_transformers_and_one_full_pass(seed: int, attention: str) -> None:
    drawn = case(seed, attention)
    whole = drawn.ours(drawn.input_ids, use_cache=False)
    assert whole.past_key_values is None
    ours_cache = theirs_cache = None
    steps = []
    for tokens in drawn.input_ids.split([3, 2] + [1] * (drawn.input_ids.shape[1] - 5), dim=1):
        ours = drawn.ours(tokens, past_key_values=ours_cache, use_cache=True)
        theirs = drawn.theirs(tokens, past_key_values=theirs_cache, use_cache=True)
        ours_cache, theirs_cache = ours.past_key_values, theirs.past_key_values
        assert_close(ours.logits, theirs.logits)
        steps.append(ours.logits)
    assert_close(torch.cat(steps, dim=1), whole.logits)
    assert ours_cache.get_seq_length() == drawn.input_ids.shape[1]


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_generate_is_that_of_transformers(seed: int, use_cache: bool) -> None:
    drawn = case(seed)
    wanted = {
        "max_new_tokens": 6,
        "do_sample": False,
        "use_cache": use_cache,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "return_dict_in_generate": True,
        "output_scores": True,
    }
    ours = drawn.ours.generate(**left_padded(drawn), **wanted)
    theirs = drawn.theirs.generate(**left_padded(drawn), **wanted)
    assert torch.equal(ours.sequences, theirs.sequences)
    assert_close(ours.scores, theirs.scores)


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_padding_changes_no_logits_of_the_tokens_beside_it(seed: int) -> None:
    drawn = case(seed)
    batch = left_padded(drawn)
    positions = (batch["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    logits = drawn.ours(**batch, position_ids=positions).logits
    for row, mask in enumerate(batch["attention_mask"].bool()):
        assert_close(logits[row, mask], drawn.ours(batch["input_ids"][row, mask][None]).logits[0])


@pytest.mark.parametrize("kept", [0, 1, 3, torch.tensor([0, 4]), torch.tensor([-1])], ids=str)
@pytest.mark.parametrize("seed", SEEDS[:4])
@torch.no_grad()
def test_only_the_positions_asked_for_get_logits(seed: int, kept: int | Tensor) -> None:
    drawn = case(seed)
    ours = drawn.ours(drawn.input_ids, logits_to_keep=kept).logits
    assert_close(ours, drawn.theirs(drawn.input_ids, logits_to_keep=kept).logits)
    chosen = slice(-kept, None) if isinstance(kept, int) else kept
    assert_close(ours, drawn.ours(drawn.input_ids).logits[:, chosen])


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_embeddings_may_stand_in_for_ids_and_positions_may_be_given(seed: int) -> None:
    drawn = case(seed)
    given = {
        "inputs_embeds": drawn.ours.get_input_embeddings()(drawn.input_ids),
        "position_ids": torch.arange(7, 7 + drawn.input_ids.shape[1]).expand_as(drawn.input_ids),
        "attention_mask": drawn.attention_mask,
    }
    ours = drawn.ours(**given).logits
    assert_close(ours, drawn.theirs(**given).logits)
    by_ids = drawn.ours(drawn.input_ids, position_ids=given["position_ids"], attention_mask=drawn.attention_mask)
    assert_close(ours, by_ids.logits)


@torch.no_grad()
def test_a_later_token_never_changes_an_earlier_logit() -> None:
    drawn = case(0)
    changed = drawn.input_ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % drawn.ours.config.vocab_size
    assert_close(drawn.ours(changed).logits[:, :-1], drawn.ours(drawn.input_ids).logits[:, :-1])


# The names of transformers 5.0; 5.23 would rather be called by others.
@pytest.mark.filterwarnings("ignore:.(gradient_checkpointing_enable|is_gradient_checkpointing). is dep:FutureWarning")
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_gradient_checkpointing_gives_the_same_loss_and_gradients(seed: int) -> None:
    drawn = case(seed)
    model = NanoChatForCausalLM(drawn.ours.config)
    model.load_state_dict(drawn.ours.state_dict())
    model.train()
    found = []
    for checkpointed in (False, True):
        if checkpointed:
            model.gradient_checkpointing_enable()
        loss = model(drawn.input_ids, labels=drawn.labels, use_cache=False).loss
        found.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
    assert model.is_gradient_checkpointing
    assert_close(found[1], found[0])


def test_the_loss_can_be_averaged_over_the_items_of_several_batches() -> None:
    drawn = case(3)
    wanted = {"input_ids": drawn.input_ids, "labels": drawn.labels, "num_items_in_batch": torch.tensor(50)}
    assert_close(drawn.ours(**wanted).loss, drawn.theirs(**wanted).loss)


@torch.no_grad()
def test_a_tuple_is_returned_where_it_is_asked_for() -> None:
    drawn = case(1)
    wanted = {"input_ids": drawn.input_ids, "labels": drawn.labels, "use_cache": False, "return_dict": False}
    assert_close(drawn.ours(**wanted), drawn.theirs(**wanted))


@pytest.mark.parametrize("given", [{}, {"input_ids": torch.ones(1, 2).long(), "inputs_embeds": torch.ones(1, 2, 8)}])
def test_neither_or_both_of_ids_and_embeddings_are_refused(given: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        case(0).ours(**given)


def test_everything_transformers_plans_for_many_devices_is_planned() -> None:
    ours, theirs = case(0).ours, case(0).theirs
    for plan in ("_tp_plan", "_pp_plan", "_fsdp_plan"):
        wanted = getattr(theirs, plan, None) or {}
        assert wanted.items() <= (getattr(ours, plan) or {}).items()
    assert ours._tp_plan["model.layers.*.self_attn.q_proj"] == "colwise"
    stages = ours._pp_plan
    assert [name for name in stages if name.startswith("model.")] == [
        "model.embed_tokens",
        "model.layers",
        "model.norm",
    ]
    assert "lm_head" in stages


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_what_one_saves_the_other_loads(seed: int, tmp_path: Path) -> None:
    drawn = case(seed)
    drawn.ours.save_pretrained(tmp_path / "ours")
    drawn.theirs.save_pretrained(tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        ours, loaded = NanoChatForCausalLM.from_pretrained(tmp_path / folder, output_loading_info=True)
        assert not any(loaded.values())
        theirs, loaded = Oracle.from_pretrained(tmp_path / folder, output_loading_info=True)
        assert not any(loaded.values())
        with torch.no_grad():
            assert_close(ours(drawn.input_ids).logits, drawn.theirs(drawn.input_ids).logits)
            assert_close(theirs(drawn.input_ids).logits, drawn.theirs(drawn.input_ids).logits)


def test_the_auto_classes_use_ours_once_the_package_is_imported(tmp_path: Path) -> None:
    case(0).theirs.save_pretrained(tmp_path)
    assert type(transformers.AutoModelForCausalLM.from_pretrained(tmp_path)) is NanoChatForCausalLM
    assert type(transformers.AutoConfig.from_pretrained(tmp_path)) is NanoChatConfig


@torch.no_grad()
def test_fresh_weights_are_drawn_as_transformers_draws_them() -> None:
    sizes = {"vocab_size": 400, "hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 4}
    ours, theirs = NanoChatForCausalLM(NanoChatConfig(**sizes)), Oracle(transformers.NanoChatConfig(**sizes))
    for (name, weight), (_, wanted) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert float(weight.std() / wanted.std()) == pytest.approx(1.0, abs=0.1), name
        assert abs(float(weight.mean())) < 0.002, name


@BOTH_ATTENTIONS
@torch.no_grad()
def test_the_original_computed_the_same_logits(attention: str) -> None:
    golden = GOLDEN / "classic-2025"
    model = original_model(golden, attention)
    outputs = load_file(golden / "expected.safetensors")
    for number, ids in enumerate(expected("classic-2025")["sequences"]):
        logits = model(torch.tensor([ids])).logits[0]
        # The original turned queries and keys by angles rounded to bfloat16.
        torch.testing.assert_close(logits[-8:], outputs[f"logits.{number}"], atol=5e-3, rtol=0)
        torch.testing.assert_close(logits.mean(dim=-1), outputs[f"mean.{number}"], atol=5e-3, rtol=0)


def original_model(golden: Path, attention: str) -> NanoChatForCausalLM:
    config = NanoChatConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attn_implementation=attention,
    )
    renames = {
        "_orig_mod.": "",
        "transformer.wte": "model.embed_tokens",
        "transformer.h.": "model.layers.",
        "attn.c_proj": "self_attn.o_proj",
        "attn.c_": "self_attn.",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    weights = {}
    for name, tensor in torch.load(golden / "model_000010.pt", weights_only=True).items():
        for old, new in renames.items():
            name = name.replace(old, new)
        for letter in "qkv":
            name = name.replace(f"self_attn.{letter}.", f"self_attn.{letter}_proj.")
        weights[name] = tensor.float()
    model = NanoChatForCausalLM(config).eval()
    model.load_state_dict(weights, strict=True)
    return model
