"""A file of torch.save, read without torch.load: first what tensors it holds, then one tensor at a time.

Such a file is a zip archive: a pickle that says which tensors there are, and one uncompressed record of numbers for
each. The pickle is read as data, so shapes and types are known before any memory is spent, and a record goes straight
into the tensor it becomes: loading needs the model's size and one tensor's more. The archive keeps a checksum of every
record, by which a flipped bit is noticed.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nanochat.errors import CheckpointError
from nanochat.model.inert_pickle import Instance, Name, Reference, read_pickle
from nanochat.model.weights import refuse_stand_ins

TABLE = Name("collections", "OrderedDict")
TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
PARAMETER = Name("torch._utils", "_rebuild_parameter")
TYPES = {
    Name("torch", "FloatStorage"): torch.float32,
    Name("torch", "BFloat16Storage"): torch.bfloat16,
    Name("torch", "HalfStorage"): torch.float16,
    Name("torch", "DoubleStorage"): torch.float64,
}
# Known, so that a tensor of whole numbers is refused for what it is and not as a suspicious name.
OTHER_TYPES = frozenset(Name("torch", f"{kind}Storage") for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool"))
# How zipfile reports an archive whose bytes were changed; which of them depends on the field that was hit.
DAMAGE = (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, struct.error)
LARGEST_PICKLE_BYTES = 20_000_000
PIECE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that is still in the file."""

    record: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StateFile:
    """An open file of torch.save and the tensors in it, by name."""

    archive: zipfile.ZipFile
    tensors: Mapping[str, StoredTensor]

    def read(self, name: str) -> Tensor:
        """Read one tensor. Raises CheckpointError when its bytes are not those that were written."""
        stored = self.tensors[name]
        tensor = torch.empty(stored.shape, dtype=stored.dtype)
        target = tensor.view(-1).view(torch.uint8).numpy()
        place = 0
        try:
            with self.archive.open(stored.record) as source:
                while piece := source.read(PIECE_BYTES):
                    target[place : place + len(piece)] = np.frombuffer(piece, np.uint8)
                    place += len(piece)
        except DAMAGE as error:
            raise CheckpointError(f"the numbers of {name} are damaged: copy the file again.") from error
        return tensor


@contextmanager
def open_state(file: Path) -> Iterator[StateFile]:
    """Open a file of torch.save that holds tensors by name. Raises CheckpointError, which names the file."""
    with file.open("rb") as content:
        refuse_stand_ins(file, content.read(512))
        try:
            with _archive(content) as archive:
                yield StateFile(archive, _tensors(archive))
        except CheckpointError as error:
            raise CheckpointError(f"{file.name} is refused: {error}") from error


def _archive(content: Any) -> zipfile.ZipFile:
    content.seek(0)
    if content.read(1) == b"\x80":
        raise CheckpointError("it is a bare pickle, the format of torch before 1.6: save it again with a newer torch.")
    try:
        return zipfile.ZipFile(content)
    except DAMAGE as error:
        raise CheckpointError("it is cut short or damaged, or no file of torch.save: copy it again.") from error


def _tensors(archive: zipfile.ZipFile) -> dict[str, StoredTensor]:
    records = {record.filename: record for record in archive.infolist()}
    pickled = [name for name in records if name.endswith("/data.pkl")]
    if len(pickled) != 1 or any("/code/" in name for name in records):
        raise CheckpointError("it is a zip archive, but not one of torch.save with a model's tensors.")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
        raise CheckpointError("it is compressed, as torch.save never does: save it again.")
    root = pickled[0].removesuffix("data.pkl")
    if _content(archive, root + "byteorder", b"little") != b"little":
        raise CheckpointError("its numbers are big-endian: save it again on a usual machine.")
    tensors = {name: _stored(name, value, root) for name, value in _named_values(archive, pickled[0]).items()}
    for name, tensor in tensors.items():
        # Taken out, so that a file cannot give the same numbers to many tensors and fill the memory with copies.
        record = records.pop(tensor.record, None)
        if record is None or record.file_size != tensor.size_bytes:
            raise CheckpointError(f"the numbers of {name} are missing, shared or not as many as they should be.")
    return tensors


def _named_values(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > LARGEST_PICKLE_BYTES:
        raise CheckpointError(
            f"its pickle has {archive.getinfo(name).file_size:,} bytes, more than a model's ever has."
        )
    table = read_pickle(_content(archive, name), {TABLE, TENSOR, PARAMETER, *TYPES, *OTHER_TYPES})
    named = table.items if isinstance(table, Instance) and table.made_by == TABLE else table
    if not isinstance(named, dict) or not named or not all(isinstance(key, str) and len(key) < 200 for key in named):
        raise CheckpointError("it does not hold tensors by name: it is not a model's state.")
    return named


def _content(archive: zipfile.ZipFile, name: str, default: bytes | None = None) -> bytes:
    try:
        return archive.read(name)
    except KeyError as error:
        if default is not None:
            return default
        raise CheckpointError("it is damaged: copy it again.") from error
    except DAMAGE as error:
        raise CheckpointError("it is damaged: copy it again.") from error


def _stored(name: str, value: Any, root: str) -> StoredTensor:
    """Understand the record of one tensor: torch's call that would rebuild it from its numbers."""
    if isinstance(value, Instance) and value.made_by == PARAMETER and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, Instance) or value.made_by != TENSOR:
        raise CheckpointError(f"{name} is not a tensor.")
    try:
        reference, offset, shape, strides = value.arguments[:4]
        if not isinstance(reference, Reference):
            raise TypeError("a tensor refers to its numbers")
        kind, dtype, key, _, _ = reference.key
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{name} is not stored as torch stores a tensor.") from error
    if kind != "storage" or not isinstance(dtype, Name) or dtype not in TYPES or not isinstance(key, str):
        raise CheckpointError(f"{name} does not hold floating-point numbers.")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise CheckpointError(f"{name} has no shape.")
    if offset != 0 or not _is_dense(shape, strides):
        raise CheckpointError(f"{name} is a view into another tensor: save a copy of it.")
    return StoredTensor(f"{root}data/{key}", shape, TYPES[dtype])


def _is_dense(shape: tuple[int, ...], strides: Any) -> bool:
    """Say whether the numbers lie in the file one after another, as the tensor's last axis runs fastest."""
    dense = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return isinstance(strides, tuple) and all(
        size == 1 or stride == expected for size, stride, expected in zip(shape, strides, dense, strict=True)
    )
