"""Which device and which type, and how layers are dealt out to GPUs that need not be there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.errors import CheckpointError
from nanochat.model.placing import FLOAT32_PARAMETERS, choose_device, choose_dtype, choose_quantization, layer_map


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "expected"),
    [
        ("auto", 0, False, "cpu"),
        ("auto", 2, False, "cuda"),
        ("auto", 0, True, "mps"),
        ("auto", 1, True, "cuda"),
        ("cpu", 2, True, "cpu"),
        ("cuda", 1, False, "cuda"),
        ("cuda:1", 2, False, "cuda:1"),
        ("mps", 0, True, "mps"),
        ("all", 2, False, "cuda"),
        ("all", 0, True, None),
        ("cuda", 0, False, None),
        ("cuda:2", 2, False, None),
        ("mps", 1, False, None),
        ("meta", 1, False, None),
        ("toaster", 1, False, None),
    ],
)
def test_the_device_is_the_fastest_or_the_one_named_or_refused(
    name: str, cuda: int, mps: bool, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    if expected is None:
        with pytest.raises(CheckpointError, match=r"has no device|is not a device"):
            choose_device(name)
    else:
        assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "device", "dtype", "expected"),
    [
        ("auto", "cpu", "auto", "int8"),
        ("auto", "cpu", "float32", "none"),
        ("auto", "cuda", "auto", "none"),
        ("auto", "mps", "auto", "none"),
        ("none", "cpu", "auto", "none"),
        ("int4", "cpu", "auto", "int4"),
        ("int4", "cuda", "bfloat16", "int4"),
    ],
)
def test_a_processor_takes_int8_unless_something_else_is_named(
    name: str, device: str, dtype: str, expected: str
) -> None:
    assert choose_quantization(name, torch.device(device), dtype) == expected


@pytest.mark.parametrize(
    ("name", "device", "capability", "parameters", "expected"),
    [
        ("auto", "cpu", None, FLOAT32_PARAMETERS, torch.float32),
        ("auto", "cpu", None, FLOAT32_PARAMETERS + 1, torch.bfloat16),
        ("auto", "cuda", (8, 0), 10, torch.bfloat16),
        ("auto", "cuda", (7, 5), 10**10, torch.float32),
        ("auto", "mps", None, 10, torch.float32),
        ("float16", "cuda", (8, 0), 10, torch.float16),
        ("float32", "cpu", None, 10**10, torch.float32),
    ],
)
def test_the_type_suits_device_and_size(
    name: str, device: str, capability: Any, parameters: int, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_dtype(name, torch.device(device), parameters) == expected


def test_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'int3' is not a type of numbers: use auto, float32"):
        choose_dtype("int3", torch.device("cpu"), 10)


def large() -> NanoChatForCausalLM:
    """12 layers of 0.8 MB each, between tables of 0.5 MB; none of it in memory."""
    config = NanoChatConfig(
        vocab_size=1_024,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=12,
        num_attention_heads=4,
        value_embeddings=True,
        smear=True,
        backout=True,
        pad_token_id=None,
    )
    with torch.device("meta"):
        return NanoChatForCausalLM(config)


def place_of(name: str, places: dict[str, int]) -> int:
    """Where a tensor lies: the longest name in the map that it begins with says so."""
    return places[max((part for part in places if name == part or name.startswith(f"{part}.")), key=len)]


def test_layers_are_laid_whole_and_in_a_row_over_the_gpus() -> None:
    model = large()
    places = layer_map(model, dict.fromkeys(range(3), 10_000_000))
    by_layer = [
        {place_of(f"model.layers.{index}.{name}", places) for name, _ in layer.named_parameters()}
        for index, layer in enumerate(model.model.layers)
    ]
    assert all(len(places) == 1 for places in by_layer)
    row = [place for (place,) in by_layer]
    assert row == sorted(row)
    assert set(row) == {0, 1, 2}
    # About as many on each, so that each has as much memory left for keys and values.
    assert max(row.count(place) for place in range(3)) <= 6
    assert {place_of(name, places) for name, _ in model.named_parameters()} == {0, 1, 2}


def test_gpus_that_are_too_small_together_are_told() -> None:
    with pytest.raises(CheckpointError, match="does not fit into the memory of the 2 GPUs of this machine together"):
        layer_map(large(), dict.fromkeys(range(2), 4_000_000))
