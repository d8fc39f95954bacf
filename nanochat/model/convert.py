"""Any model that loads here as a folder that Hugging Face's tools load, and as a repository on the Hub.

The folder gets its name only after what was written into it has been read back and has answered with the same logits;
what fails on the way leaves nothing.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import cast

import torch
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from torch import Tensor, nn

from nanochat.errors import CheckpointError
from nanochat.model.checkpoint import Checkpoint, load_checkpoint
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.folder import save_folder
from nanochat.model.hub import Progress

CARD = Path(__file__).with_name("converted.md")
CLASSIC = """It has the architecture of October 2025, which transformers knows:

```python
from transformers import pipeline

pipeline("text-generation", "PATH_OR_REPOSITORY")([{"role": "user", "content": "Why is the sky blue?"}])
```"""
CURRENT = """It has the architecture of today's nanochat. transformers knows only that of October 2025: it would leave
part of this model aside, and its answers would mean nothing. The classes of the nanochat Space read all of it."""
# As many tokens as windows, positions and pieces of the cache need to make a difference.
COMPARED_TOKENS = 256
LARGEST_DIFFERENCE = 1e-4
# The error of whichever HTTP library the client is built on, and OSError.
UPLOAD_ERRORS = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written, and how far its logits are from the source's."""

    folder: Path
    parameters: int
    dtype: str
    size_bytes: int
    compared_tokens: int
    largest_difference: float
    is_classic: bool


def convert(source: str, target: Path, *, dtype: str = "auto", progress: Progress | None = None) -> Conversion:
    """Write the model `source` as a folder `target`, which must not exist yet, or be empty.

    source, dtype, progress: as load_checkpoint takes them. Raises CheckpointError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target} exists already: name a folder that does not.")
    checkpoint = load_checkpoint(source, device="cpu", dtype=dtype, progress=progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that giving it its name is one step.
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as unfinished:
            written = Path(unfinished) / "model"
            save_folder(
                checkpoint.model, checkpoint.tokenizer.backend_tokenizer, written, _card(checkpoint, target.name)
            )
            conversion = _compare(checkpoint, written, target)
            written.replace(target)
            return conversion
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written: {error.strerror or error}.") from error


def push(folder: Path, repository: str, api: HfApi | None = None) -> str:
    """Upload a folder to the Hub and return its address; a repository that does not exist is made, and private.

    Raises CheckpointError, without a token before anything is sent.
    """
    api = api or HfApi()
    require_token(api)
    try:
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Convert a nanochat model")
        return str(address)
    except HFValidationError as error:
        raise CheckpointError(f"{folder} is written, but {repository[:100]!r} is no name for a repository.") from error
    except UPLOAD_ERRORS as error:
        # The text of the error itself may hold addresses and keys that are private.
        answered = f"status {error.response.status_code}" if isinstance(error, HfHubHTTPError) else type(error).__name__
        raise CheckpointError(
            f"{folder} is written, but the Hub did not take it ({answered}): upload it later."
        ) from error


def require_token(api: HfApi | None = None) -> None:
    """Raises CheckpointError where no token says who uploads."""
    if not ((api.token if api else None) or get_token()):
        raise CheckpointError("Uploading needs a token: set HF_TOKEN, or run `hf auth login`.")


def _compare(checkpoint: Checkpoint, written: Path, target: Path) -> Conversion:
    """Read back what was written and hold it against the source. Raises CheckpointError where they differ."""
    model, tokenizer = checkpoint.model, checkpoint.tokenizer.backend_tokenizer
    dtype = str(model.dtype).removeprefix("torch.")
    parameters, config = model.num_parameters(), model.config
    expected = _logits(checkpoint)
    # One model at a time: the two of them may need more memory than there is.
    nn.Module.to(model, "meta")
    again = load_checkpoint(str(written), device="cpu", dtype=dtype)
    difference = (_logits(again) - expected).abs().max().item()
    if difference > LARGEST_DIFFERENCE or again.tokenizer.backend_tokenizer.to_str() != tokenizer.to_str():
        raise CheckpointError(f"What was written answers differently, by up to {difference:g}: nothing is kept.")
    size_bytes = sum(file.stat().st_size for file in written.iterdir())
    return Conversion(target, parameters, dtype, size_bytes, expected.shape[1], difference, config.is_classic)


@torch.inference_mode()
def _logits(checkpoint: Checkpoint) -> Tensor:
    """Return what a model says of a text that is the same for all: (1, compared tokens, vocabulary)."""
    config: NanoChatConfig = checkpoint.model.config
    length = min(COMPARED_TOKENS, config.max_position_embeddings)
    ids = torch.randint(0, config.vocab_size, (1, length), generator=torch.Generator().manual_seed(0))
    logits: Tensor = checkpoint.model(ids, use_cache=False).logits
    return logits


def _card(checkpoint: Checkpoint, name: str) -> str:
    config: NanoChatConfig = checkpoint.model.config
    return Template(CARD.read_text()).substitute(
        name=name,
        source=Path(checkpoint.source).name if Path(checkpoint.source).exists() else checkpoint.source,
        parameters=f"{checkpoint.model.num_parameters():,}",
        dtype=str(checkpoint.model.dtype).removeprefix("torch."),
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        vocabulary=f"{config.vocab_size:,}",
        context=f"{config.max_position_embeddings:,}",
        architecture=CLASSIC if config.is_classic else CURRENT,
    )
