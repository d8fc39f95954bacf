"""What the card is drawn from follows from the model."""

from __future__ import annotations

from dataclasses import replace

from nanochat.model.facts import TensorFacts
from nanochat.ui.plan import SENTENCE, sentence_of
from tests.ui.models import plan, template


def test_the_sentence_is_cut_by_the_models_own_tokenizer() -> None:
    sentence = sentence_of(template())
    assert "".join(token.name for token in sentence) == SENTENCE
    assert [token.id for token in sentence] == template().encode(SENTENCE)


def test_windows_are_those_of_layers_that_do_not_see_all() -> None:
    assert plan("current").windows == (257, 257, 257)
    assert plan("grouped").windows == ()


def test_value_layers_are_counted() -> None:
    assert plan("current").value_layers == 3
    assert plan("grouped").value_layers == 0


def test_whole_numbers_among_the_weights_are_seen_with_their_bits() -> None:
    """int8 has a byte a weight, int4 packs two in one; scales belong to the weights and count as none."""
    assert plan("tiny").quantized_bits == ()
    classic = plan("tiny")
    kept = (
        TensorFacts("lm_head.numbers", (384, 16), "uint8", 384 * 32, 384 * 16),
        TensorFacts("lm_head.scales", (1, 384, 2), "float32", 0, 3_072),
        TensorFacts("model.layers.0.mlp.fc1.numbers", (128, 32), "int8", 4_096, 4_096),
    )
    facts = replace(classic.facts, tensors=classic.facts.tensors[:1] + kept)
    assert replace(classic, facts=facts).quantized_bits == (4, 8)
