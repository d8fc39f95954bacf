"""What can be known about weights before their memory is spent: which files, which tensors, whether they are whole.

Only safetensors are read. A pickle is a program, and loading one from elsewhere means running it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nanochat.errors import CheckpointError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

# A shard is named in the index, and its name must not lead out of the folder or stand for other files.
_SHARD = re.compile(r"\w[\w.-]{0,150}\.safetensors", re.ASCII)
_FLOATS = ("BF16", "F16", "F32", "F64")
# The Hub names a large file in its cache by the SHA-256 of its content.
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a checkpoint as their files' headers tell them; nothing of their content is in memory."""

    files: tuple[Path, ...]
    shapes: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_json(path: Path, limit_bytes: int = 50_000_000) -> dict[str, Any]:
    """Read a JSON object. Raises CheckpointError for everything else that can be in a file of that name."""
    if not path.is_file():
        raise CheckpointError(f"{path.name} is missing. {remedy(_names(path.parent))}")
    if path.stat().st_size > limit_bytes:
        raise CheckpointError(f"{path.name} has {path.stat().st_size:,} bytes, more than a nanochat model's ever has.")
    content = path.read_bytes()
    refuse_stand_ins(path, content)
    try:
        value = json.loads(content)
    # Deep nesting exhausts the parser's stack.
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not JSON: the file is damaged.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} is not a JSON object: it is no file of a model.")
    return value


def shard_names(folder: Path) -> list[str]:
    """Return the names of the weight files a folder must have: those of its index, or the single one."""
    if (folder / SINGLE).exists() or not (folder / INDEX).exists():
        return [SINGLE]
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{INDEX} has no weight_map: the file is damaged.")
    names = {str(name) for name in places.values()}
    for name in sorted(names):
        if not _SHARD.fullmatch(name):
            raise CheckpointError(f"{INDEX} names a file that cannot be a shard: {name[:100]!r}.")
    return sorted(names)


def read_headers(folder: Path) -> Weights:
    """Read names and shapes of all tensors. Raises CheckpointError for files that are missing, damaged or foreign."""
    files = tuple(folder / name for name in shard_names(folder))
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{file.name} is missing. {remedy(_names(folder))}")
        found = _read_header(file)
        if repeated := sorted(shapes.keys() & found.keys()):
            raise CheckpointError(f"{repeated[0][:100]} is in two weight files: they do not belong together.")
        shapes |= found
    return Weights(files, shapes)


def verify_content(weights: Weights) -> str:
    """Return the SHA-256 of the weights: of the one file, or of the digests of all shards joined.

    Raises CheckpointError where the Hub named a file by its digest and the content has another. safetensors itself
    notices a file that is cut short, but not one with a flipped bit.
    """
    digests = []
    for file in weights.files:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        known = file.resolve().name if file.is_symlink() else digest
        if _DIGEST.fullmatch(known) and known != digest:
            # Nothing else would ever replace it in the cache.
            file.resolve().unlink()
            raise CheckpointError(f"{file.name} was damaged and is deleted from the cache: load the model again.")
        digests.append(digest)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def remedy(names: Iterable[str]) -> str:
    """Say what to do about a model without the files it should have, by the names of those it has instead."""
    present = sorted(names)
    native = [name for name in present if name.endswith((".pt", ".pkl"))]
    pickled = [name for name in present if name.endswith((".bin", ".ckpt", ".pth"))]
    if native:
        return (
            f"{native[0]} is of a native karpathy/nanochat run, which needs model_<step>.pt, meta_<step>.json and "
            "tokenizer.pkl."
        )
    if pickled:
        return f"{pickled[0]} is a pickle, which runs code when it is loaded: save the model as safetensors."
    return "This is not the folder of a model."


def _read_header(file: Path) -> dict[str, tuple[int, ...]]:
    with file.open("rb") as content:
        refuse_stand_ins(file, content.read(512))
    try:
        with safe_open(file, framework="pt") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
            types = {name: tensor.get_dtype() for name, tensor in slices.items()}
            shapes = {name: tuple(tensor.get_shape()) for name, tensor in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file.name} is damaged or cut short.") from error
    for name, kind in types.items():
        if kind not in _FLOATS:
            raise CheckpointError(f"{name[:100]} has numbers of type {kind}: quantized checkpoints are not read.")
    return shapes


def refuse_stand_ins(path: Path, beginning: bytes) -> None:
    """Name the two things that stand where a file should be when a download went wrong."""
    if beginning.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder."
        )
    if beginning.lstrip()[:1] == b"<":
        raise CheckpointError(f"{path.name} is a web page, not the file itself: download it again.")


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]
