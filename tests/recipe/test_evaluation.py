"""What a quantization loses is measured, not estimated: the same texts, scored before and after."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.model.quantization import quantize
from nanochat.recipe.evaluation import Loss, quantization_loss
from nanochat.recipe.run import validation_texts
from nanochat.recipe.scoring import bits_per_byte
from tests.recipe.small_corpus import write_small_corpus


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_the_loss_of_a_quantization_is_that_of_the_model_that_runs(
    name: str,
    tiny_checkpoint: Path,
    tiny_model: NanoChatForCausalLM,
    tiny_template: ChatTemplate,
    tmp_path: Path,
) -> None:
    corpus = write_small_corpus(tmp_path)
    loss = quantization_loss(str(tiny_checkpoint), corpus, name)
    texts = validation_texts(corpus)
    rounded = copy.deepcopy(tiny_model)
    quantize(rounded, name)
    assert loss.bits == pytest.approx(bits_per_byte(tiny_model, tiny_template, texts), rel=0.01)
    assert loss.quantized_bits == pytest.approx(bits_per_byte(rounded, tiny_template, texts), rel=0.01)
    assert loss.quantization == name
    assert loss.quantized_bytes < loss.size_bytes == 2 * 47_104


def test_a_loss_says_what_it_compares() -> None:
    assert str(Loss("int8", 2.0, 2.01, 20_000_000, 11_000_000)) == (
        "int8: 2.0100 bits a byte, bfloat16 2.0000 (+0.50%); 11.0 MB instead of 20.0."
    )
