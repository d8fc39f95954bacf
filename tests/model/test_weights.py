from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file

from nanochat import NanoChatForCausalLM
from nanochat.errors import CheckpointError
from nanochat.model.modeling_nanochat import alone
from nanochat.model.weights import INDEX, SINGLE, read_headers, read_json, remedy, shard_names, verify_content

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 188\n"


@pytest.fixture
def single(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    shutil.copy(tiny_checkpoint / SINGLE, tmp_path / SINGLE)
    return tmp_path


@pytest.fixture
def sharded(tiny_model: NanoChatForCausalLM, tmp_path: Path) -> Path:
    save_torch_state_dict(
        {name: alone(each) for name, each in tiny_model.state_dict().items()}, tmp_path, max_shard_size=60_000
    )
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    return tmp_path


def test_headers_tell_the_shapes_of_one_file_and_of_many(
    single: Path, tiny_model: NanoChatForCausalLM, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("sharded")
    save_torch_state_dict(
        {name: alone(each) for name, each in tiny_model.state_dict().items()}, other, max_shard_size=60_000
    )
    expected = {name: tuple(tensor.shape) for name, tensor in tiny_model.state_dict().items()}
    assert read_headers(single).shapes == read_headers(other).shapes == expected
    assert read_headers(single).parameters == sum(tensor.numel() for tensor in tiny_model.state_dict().values())
    assert len(read_headers(other).files) == len(shard_names(other)) > 2


def test_the_checksum_of_one_file_is_what_sha256sum_prints(single: Path) -> None:
    assert verify_content(read_headers(single)) == hashlib.sha256((single / SINGLE).read_bytes()).hexdigest()


def test_the_checksum_of_many_files_changes_with_any_of_them(sharded: Path) -> None:
    before = verify_content(read_headers(sharded))
    last = sorted(sharded.glob("*.safetensors"))[-1]
    save_file({name: tensor + 1 for name, tensor in load_file(last).items()}, last)
    assert verify_content(read_headers(sharded)) != before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        (b"\n<!DOCTYPE html><html></html>", "is a web page, not the file itself"),
        (b"", "is damaged or cut short"),
        (b"\xff" * 200, "is damaged or cut short"),
        (b"PK\x03\x04" + b"\0" * 100, "is damaged or cut short"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "is damaged or cut short"),
    ],
    ids=["lfs pointer", "web page", "empty", "noise", "zip", "endless header"],
)
def test_what_stands_in_place_of_weights_is_named(single: Path, content: bytes, told: str) -> None:
    (single / SINGLE).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^model.safetensors {told}"):
        read_headers(single)


@pytest.mark.parametrize("kept", [4, 100, 2000, -1])
def test_weights_cut_short_anywhere_are_refused(single: Path, kept: int) -> None:
    (single / SINGLE).write_bytes((single / SINGLE).read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or cut short"):
        read_headers(single)


def test_numbers_that_are_quantized_are_refused_by_name(single: Path) -> None:
    save_file({"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.int8)}, single / SINGLE)
    with pytest.raises(CheckpointError, match="b has numbers of type I8: quantized"):
        read_headers(single)


@pytest.mark.parametrize(
    ("weight_map", "told"),
    [
        ({"a": "../../etc/passwd"}, "cannot be a shard"),
        ({"a": "/etc/passwd"}, "cannot be a shard"),
        ({"a": "*.safetensors"}, "cannot be a shard"),
        ({"a": "pytorch_model.bin"}, "cannot be a shard"),
        ({"a": 7}, "cannot be a shard"),
        ({}, "has no weight_map"),
        (None, "has no weight_map"),
        ({"a": "model-00001-of-00002.safetensors"}, "model-00001-of-00002.safetensors is missing"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, weight_map: object, told: str) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=told):
        read_headers(tmp_path)


def test_a_tensor_in_two_shards_is_refused(sharded: Path) -> None:
    first, second = sorted(sharded.glob("*.safetensors"))[:2]
    save_file(load_file(second) | dict(list(load_file(first).items())[:1]), second)
    with pytest.raises(CheckpointError, match="is in two weight files"):
        read_headers(sharded)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b"<html>", "is a web page"),
        (POINTER, "is a Git LFS pointer"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "is not JSON"),
        (b" " * 2000 + b"{}", "has 2,002 bytes"),
    ],
    ids=["empty", "cut", "not text", "list", "web page", "lfs pointer", "deep", "large"],
)
def test_what_stands_in_place_of_a_json_object_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    limit = 1000 if content.startswith(b" ") else 10**6
    with pytest.raises(CheckpointError, match=f"^config.json {told}"):
        read_json(tmp_path / "config.json", limit_bytes=limit)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["model_000650.pt", "meta_000650.json", "tokenizer.pkl"], "is of a native karpathy/nanochat run"),
        (["pytorch_model.bin", "config.json"], "pytorch_model.bin is a pickle, which runs code when it is loaded"),
        (["a.txt"], "This is not the folder of a model."),
        ([], "This is not the folder of a model."),
    ],
)
def test_the_remedy_depends_on_what_is_there_instead(names: list[str], told: str) -> None:
    assert told in remedy(names)
