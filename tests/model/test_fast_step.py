"""Which way a step goes, and that a compiled one says the same."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from nanochat import NanoChatForCausalLM
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.model.cache import SlotCache
from nanochat.model.fast_step import compiled, fast_step
from nanochat.model.lean_model import LeanModel
from nanochat.model.packing import pack
from nanochat.model.quantization import quantize
from nanochat.model.recorded import Step
from tests.chat.engines import GREEDY, asked, done, in_turn
from tests.model import test_several_devices
from tests.model.steps import CONTEXT, decoder_of, fill, model_of, with_steps, write
from tests.model.test_current_architecture import make

QUESTIONS = ("Hello!", "What is the capital of France?", "Größe 🦊")


class OtherLinear(nn.Linear):
    """A map of another library."""


def parts(model: NanoChatForCausalLM) -> tuple[NanoChatForCausalLM, LeanModel, SlotCache]:
    cache = SlotCache(model.config, 2, CONTEXT, dtype=torch.float32, device=torch.device("cpu"))
    return model, LeanModel(model, CONTEXT), cache


def as_if_on_cuda(model: NanoChatForCausalLM) -> tuple[NanoChatForCausalLM, LeanModel, SlotCache]:
    """A lean model that gives CUDA as the place where it starts, and computes here."""
    model, lean, cache = parts(model)
    (tables,) = lean.tables.values()
    lean.start = torch.device("cuda")
    lean.tables = {lean.start: tables}
    return model, lean, cache


def not_recorded(step: Step, device: torch.device) -> Step:
    raise AssertionError(f"{device} is not for recording")


def test_on_a_processor_a_step_is_a_pass_unless_it_is_to_be_compiled() -> None:
    on_processor = parts(model_of("current"))
    assert fast_step(*on_processor, "eager", not_recorded) is None
    assert fast_step(*on_processor, "recorded", not_recorded) is None
    assert fast_step(*on_processor, "compiled", not_recorded) is not None


@pytest.mark.parametrize("stepping", ["recorded", "compiled"])
def test_on_cuda_a_step_is_recorded(stepping: Any) -> None:
    devices = []

    def record(step: Step, device: torch.device) -> Step:
        devices.append(device)
        return step

    on_cuda = as_if_on_cuda(model_of("current"))
    assert fast_step(*on_cuda, "eager", record) is None
    assert not devices
    assert fast_step(*on_cuda, stepping, record) is not None
    assert devices == [torch.device("cuda")]


def test_models_that_do_not_fit_step_aside() -> None:
    packed, spread, quantized = model_of("classic"), test_several_devices.spread({}), model_of("classic")
    pack(packed)
    quantize(quantized, "int8")
    foreign = model_of("classic")
    foreign.model.layers[0].mlp.fc1 = OtherLinear(32, 128, bias=False)
    assert fast_step(*parts(quantized), "compiled") is not None
    assert fast_step(*parts(spread), "compiled") is None
    assert fast_step(*parts(foreign), "compiled") is None
    assert fast_step(*parts(packed), "compiled") is None


def test_a_traced_step_says_what_a_pass_says() -> None:
    model = make(num_hidden_layers=2, window_pattern="SL")
    quantize(model, "int8")
    eager = decoder_of(model)
    traced = with_steps(decoder_of(model), lambda step: compiled(step, backend="aot_eager"))
    for decoder in (eager, traced):
        fill(decoder, {4: 5, 2: 13, 7: 1})
    for live in ((4,), (2, 4), (7, 2, 4), (2,)):
        torch.testing.assert_close(write(traced, live), write(eager, live), atol=1e-5, rtol=0)
    assert traced._fast is not None
    assert traced._fast._step is not None


def test_a_compiler_that_fails_is_told_once_and_passes_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> Any:
        raise FileNotFoundError("there is no compiler on this machine")

    model = model_of("classic")
    eager, failing = decoder_of(model), with_steps(decoder_of(model), lambda step: compiled(step, backend=broken))
    with caplog.at_level(logging.WARNING, "nanochat"):
        failing.prepare()
        torch.testing.assert_close(write(failing, (1, 3)), write(eager, (1, 3)))
    (message,) = caplog.messages
    assert "there is no compiler on this machine" in message


def test_preparing_leaves_every_slot_empty() -> None:
    decoder = with_steps(decoder_of(model_of("current")))
    decoder.prepare()
    assert not any(slot.ids for slot in decoder.cache.slots)
    decoder.cache.slots[0].ids.clear()
    torch.testing.assert_close(write(decoder, (0,)), write(decoder_of(model_of("current")), (0,)), atol=1e-5, rtol=0)


# Where torch's compiler says something of torch's own.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_a_compiled_engine_answers_as_any_other(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, caplog: pytest.LogCaptureFixture
) -> None:
    limits = EngineLimits(slots=3)
    eager = LocalEngine(tiny_model, tiny_template, limits, stepping="eager")
    expected = [done(eager.stream(asked(question), GREEDY)).message for question in QUESTIONS]
    engine = LocalEngine(tiny_model, tiny_template, limits, stepping="compiled")
    together = in_turn(*(engine.stream(asked(question), GREEDY) for question in QUESTIONS))
    assert [done(events).message for events in together] == expected
    again = done(engine.stream(asked(QUESTIONS[1]), GREEDY))
    assert again.message == expected[1]
    assert again.reused_tokens == again.prompt_tokens - 1
    assert not [record for record in caplog.records if record.name.startswith("nanochat")]
