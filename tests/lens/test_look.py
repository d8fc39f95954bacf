"""What the lens shows is what the model did: transformers' eager attention and hidden states are the oracle."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import NanoChatConfig as TheirConfig
from transformers import NanoChatForCausalLM as TheirModel

from nanochat import NanoChatForCausalLM
from nanochat.errors import LensError
from nanochat.lens.layers import LensRow, decided_after
from nanochat.lens.look import Lens, Look
from nanochat.lens.reading import pattern_of, read
from tests.model.test_current_architecture import make

IDS = tuple(torch.randint(0, 200, (30,), generator=torch.Generator().manual_seed(5)).tolist())
PLACE = 21
CLASSIC: dict[str, Any] = {
    "padded_vocab_size": None,
    "qk_scale": 1.0,
    "window_pattern": None,
    "sliding_window": None,
    "value_embeddings": False,
    "residual_lambdas": False,
    "smear": False,
    "backout": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
}


@pytest.fixture(scope="module", params=[CLASSIC, {}], ids=["classic", "current"])
def model(request: pytest.FixtureRequest) -> NanoChatForCausalLM:
    return make(**request.param)


@pytest.fixture(scope="module")
def look(model: NanoChatForCausalLM) -> Look:
    return Lens(model).look(IDS, PLACE, layer=1, head=2)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Transformers' own model with the same weights, and all it tells about one pass."""
    ours = make(**CLASSIC)
    shared = {name: value for name, value in ours.config.to_dict().items() if name in TheirConfig().to_dict()}
    model = TheirModel(TheirConfig(**shared, attn_implementation="eager")).eval()
    model.load_state_dict(ours.state_dict())
    with torch.no_grad():
        return model, model(
            torch.tensor([IDS[:PLACE]]), output_attentions=True, output_hidden_states=True, use_cache=False
        )


def test_the_logits_are_those_of_a_fresh_full_forward(model: NanoChatForCausalLM, look: Look) -> None:
    with torch.no_grad():
        expected = model(torch.tensor([IDS[:PLACE]])).logits[0, -1]
    torch.testing.assert_close(look.logits, expected, rtol=0, atol=1e-4)


def test_the_last_row_of_the_lens_is_the_models_own_answer(look: Look) -> None:
    probabilities = look.logits.softmax(dim=-1)
    last = look.lens[-1]
    assert [guess.id for guess in last.best] == probabilities.topk(5).indices.tolist()
    assert last.probability == pytest.approx(float(probabilities[look.chosen_id]))
    assert last.rank == 1 + int((probabilities > probabilities[look.chosen_id]).sum())


def test_each_row_of_the_lens_reads_transformers_own_hidden_states(theirs: Any) -> None:
    model, outputs = theirs
    look = Lens(make(**CLASSIC)).look(IDS, PLACE)
    hidden = list(outputs.hidden_states)
    assert len(look.lens) == len(hidden) == model.config.num_hidden_layers + 1
    for row, states in zip(look.lens[:-1], hidden[:-1], strict=True):
        with torch.no_grad():
            scores = model.lm_head(model.model.norm(states[0, -1]))
        probabilities = (15 * torch.tanh(scores / 15)).softmax(dim=-1)
        assert row.probability == pytest.approx(float(probabilities[IDS[PLACE]]), abs=1e-5)
        assert [guess.id for guess in row.best] == probabilities.topk(5).indices.tolist()


def test_attention_is_transformers_eager_attention(theirs: Any) -> None:
    look = Lens(make(**CLASSIC)).look(IDS, PLACE)
    expected = torch.stack([weights[0, :, -1] for weights in theirs[1].attentions])
    torch.testing.assert_close(look.attention, expected, rtol=0, atol=1e-5)


def test_attention_is_our_eager_attention_in_both_architectures(model: NanoChatForCausalLM, look: Look) -> None:
    eager = make(attn_implementation="eager", **({} if model.config.smear else CLASSIC))
    with torch.no_grad():
        outputs = eager(torch.tensor([IDS[:PLACE]]), output_attentions=True, use_cache=False)
    expected = torch.stack([weights[0, :, -1] for weights in outputs.attentions])
    torch.testing.assert_close(look.attention, expected, rtol=0, atol=1e-5)


def test_the_pattern_of_one_head_is_the_end_of_its_eager_attention(model: NanoChatForCausalLM, look: Look) -> None:
    eager = make(attn_implementation="eager", **({} if model.config.smear else CLASSIC))
    with torch.no_grad():
        outputs = eager(torch.tensor([IDS[:PLACE]]), output_attentions=True, use_cache=False)
    torch.testing.assert_close(look.pattern, outputs.attentions[1][0, 2], rtol=0, atol=1e-5)
    torch.testing.assert_close(look.pattern.sum(dim=-1), torch.ones(PLACE))
    assert torch.equal(look.pattern, look.pattern.tril())
    reading = read(model, IDS)
    torch.testing.assert_close(pattern_of(reading, 1, 2, slice(15, PLACE)), look.pattern[15:], rtol=0, atol=1e-6)


def test_every_head_divides_one_whole_attention(model: NanoChatForCausalLM, look: Look) -> None:
    assert look.attention.shape == (model.config.num_hidden_layers, model.config.num_attention_heads, PLACE)
    torch.testing.assert_close(look.attention.sum(dim=-1), torch.ones(look.attention.shape[:2]))


def test_the_shares_of_each_layer_sum_to_one(look: Look) -> None:
    for shares in look.shares:
        assert shares.before + shares.attention + shares.mlp == pytest.approx(1, abs=1e-5)


def test_zeros_are_counted_where_the_mlp_has_them(model: NanoChatForCausalLM, look: Look) -> None:
    seen: list[torch.Tensor] = []
    hooks = [
        layer.mlp.fc1.register_forward_hook(lambda _module, _args, output: seen.append(output[0, -1]))
        for layer in model.model.layers
    ]
    with torch.no_grad():
        model(torch.tensor([IDS[:PLACE]]))
    for hook in hooks:
        hook.remove()
    assert [firing.zeros for firing in look.firings] == [int((before <= 0).sum()) for before in seen]
    for firing, before in zip(look.firings, seen, strict=True):
        assert firing.strongest[0].index == int(before.argmax())
        assert firing.strongest[0].activation == pytest.approx(float(before.max()) ** 2, rel=1e-4)


def test_a_neuron_pushes_up_the_words_its_column_points_to(model: NanoChatForCausalLM, look: Look) -> None:
    neuron = look.firings[1].strongest[0]
    column = model.model.layers[1].mlp.fc2.weight[:, neuron.index].detach()
    scores = (model.lm_head.weight.detach() @ column)[: model.vocab_size]
    assert neuron.pushes_up == tuple(scores.topk(5).indices.tolist())
    assert neuron.added_length == pytest.approx(float(column.norm()) * neuron.activation, rel=1e-4)


def test_the_softcap_is_the_models(model: NanoChatForCausalLM, look: Look) -> None:
    assert [bent.id for bent in look.softcap.shown[:5]] == look.logits.topk(5).indices.tolist()
    assert any(bent.id == look.chosen_id for bent in look.softcap.shown)
    for bent in look.softcap.shown:
        assert bent.capped == pytest.approx(float(look.logits[bent.id]), abs=1e-5)
        assert bent.capped == pytest.approx(15 * float(torch.tanh(torch.tensor(bent.raw / 15))), abs=1e-5)


def test_the_worked_example_leads_to_the_weight_that_is_shown(look: Look) -> None:
    match = look.match
    row = look.attention[1, 2]
    assert (match.layer, match.head, match.place) == (2, 2, int(row.argmax()))
    assert match.weight == pytest.approx(float(row.max()))
    for norm in (match.query, match.key):
        assert norm.size_after == pytest.approx(1, abs=1e-3)
        assert norm.after[0] == pytest.approx(norm.before[0] / norm.size_before, abs=1e-4)


def test_rope_keeps_lengths_and_knows_distances_only(look: Look) -> None:
    rope = look.match.rope
    assert rope.moved_score == pytest.approx(rope.score, abs=1e-3)
    for turn in (rope.query, rope.key):
        before, after = torch.complex(*map(torch.tensor, turn.before)), torch.complex(*map(torch.tensor, turn.after))
        expected = before * torch.polar(torch.tensor(1.0), torch.tensor(-turn.angle))
        assert complex(after) == pytest.approx(complex(expected), abs=1e-4)
    assert rope.query.place == PLACE - 1


def test_a_later_text_changes_nothing_about_an_earlier_token(model: NanoChatForCausalLM, look: Look) -> None:
    shorter = Lens(model).look(IDS[: PLACE + 1], PLACE, layer=1, head=2)
    torch.testing.assert_close(shorter.logits, look.logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(shorter.attention, look.attention, rtol=0, atol=1e-5)


def test_decided_is_the_start_of_the_last_unbroken_lead() -> None:
    def rows(*ranks: int) -> list[LensRow]:
        return [LensRow(layer, (), rank, 0.0) for layer, rank in enumerate(ranks)]

    assert decided_after(rows(9, 1, 2, 1, 1)) == 3
    assert decided_after(rows(1, 1)) == 0
    assert decided_after(rows(1, 1, 2)) is None


@pytest.mark.parametrize(
    ("ids", "position", "layer", "head"),
    [
        (IDS, 0, 0, 0),
        (IDS, len(IDS), 0, 0),
        (IDS, -1, 0, 0),
        ((), 0, 0, 0),
        ((*IDS, 200), 3, 0, 0),
        ((*IDS, -1), 3, 0, 0),
        ((1,) * 65, 3, 0, 0),
        (IDS, 3, 5, 0),
        (IDS, 3, 0, 4),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_does_not_exist_is_refused_in_words(
    model: NanoChatForCausalLM, ids: tuple[int, ...], position: int, layer: int, head: int
) -> None:
    with pytest.raises(LensError):
        Lens(model).look(ids, position, layer=layer, head=head)


def test_many_looking_at_once_see_each_their_own_text(model: NanoChatForCausalLM) -> None:
    lens = Lens(model, remembered_bytes=100_000)
    texts = [tuple(reversed(IDS[start:])) for start in range(4)]
    alone = [Lens(model).look(text, 9).logits for text in texts]
    seen: dict[int, list[torch.Tensor]] = {place: [] for place in range(4)}

    def watch(place: int) -> None:
        for _ in range(5):
            seen[place].append(lens.look(texts[place], 9).logits)

    threads = [threading.Thread(target=watch, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, logits in seen.items():
        assert len(logits) == 5
        for one in logits:
            torch.testing.assert_close(one, alone[place], rtol=0, atol=1e-5)


def test_a_text_is_read_once_for_all_its_tokens_and_memory_is_bounded(
    model: NanoChatForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nanochat.lens import look as module

    texts: list[tuple[int, ...]] = []
    read = module.read
    monkeypatch.setattr(module, "read", lambda model, ids: (texts.append(ids), read(model, ids))[1])
    lens = Lens(model)
    for position in (3, 9, 20):
        lens.look(IDS, position)
    assert texts == [IDS]
    frugal = Lens(model, remembered_bytes=1)
    frugal.look(IDS, 3)
    frugal.look(IDS, 4)
    assert texts == [IDS] * 3


def test_half_precision_is_read_too() -> None:
    model = make(**CLASSIC).to(torch.bfloat16)
    look = Lens(model).look(IDS, PLACE)
    with torch.no_grad():
        expected = model(torch.tensor([IDS[:PLACE]])).logits[0, -1].float()
    assert F.cosine_similarity(look.logits, expected, dim=0) > 0.999
    torch.testing.assert_close(look.attention.sum(dim=-1), torch.ones(look.attention.shape[:2]))
