"""The recipe from text to model: tokenizer, pretraining, finetuning, export.

Each part leaves its result in the run's folder and is skipped where that result is there already, so a run that was
killed goes on where it stood:

    tokenizer.json   pretrain.npz   finetune.npz   pretrain.pt   finetune.pt   log.jsonl   loss.svg   model/
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm

from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate
from nanochat.model.folder import control_ids, save_folder
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe import corpus
from nanochat.recipe.conversations.mixture import conversations
from nanochat.recipe.curve import Series, loss_curve
from nanochat.recipe.documents import attend_within_documents
from nanochat.recipe.optimizers import initialise
from nanochat.recipe.packing import Document, Rows, cut, pack
from nanochat.recipe.plan import Plan
from nanochat.recipe.tokenizer import train_tokenizer
from nanochat.recipe.training import TrainingOptions, train

TOKENIZER_TEXTS = 40_000
VALIDATION_SHARE = 100  # one text in so many is never trained on
ENCODE_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Run:
    """A plan, the text it is fed, and how it runs."""

    plan: Plan
    corpus: Path
    options: TrainingOptions

    @property
    def folder(self) -> Path:
        return self.options.folder


def run_recipe(run: Run) -> Path:
    """Train the planned model, from wherever the folder's last run stopped, and write it without its card.

    Return the folder that holds model and tokenizer.

    Raises RecipeError where the corpus lacks a file.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(run)
    with run.options.device:
        model = new_model(run.plan, tokenizer)
    for stage, make_rows in ((run.plan.pretrain, _pretrain_rows), (run.plan.finetune, _finetune_rows)):
        rows = _kept_rows(run.folder / f"{stage.name}.npz", partial(make_rows, run, tokenizer))
        train(model, rows, stage, run.options)
        draw_curve(run.folder)
    target = run.folder / "model"
    save_folder(model, tokenizer, target, card="", dtype=torch.bfloat16)
    shutil.copy(run.folder / "loss.svg", target)
    return target


def new_model(plan: Plan, tokenizer: Tokenizer) -> NanoChatForCausalLM:
    """Return the planned model with its starting weights."""
    ids = control_ids(tokenizer)
    model = NanoChatForCausalLM(plan.config(ids["<|bos|>"], ids["<|assistant_end|>"]))
    attend_within_documents(model)
    initialise(model, plan.seed)
    return model


def validation_texts(folder: Path) -> list[str]:
    """Return the texts that pretraining leaves out."""
    return [text for text, _ in _numbered(folder, wanted=True)]


def draw_curve(folder: Path) -> None:
    """Write `loss.svg` from `log.jsonl`. What a killed run read past its checkpoint was read again, and counts once."""
    losses: dict[str, dict[int, float]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        record = json.loads(line)
        losses.setdefault(record["stage"], {})[record["tokens"]] = record["loss"]
    series = [Series(name, sorted(points.items())) for name, points in losses.items()]
    (folder / "loss.svg").write_text(loss_curve(series))


def _tokenizer(run: Run) -> Tokenizer:
    path = run.folder / "tokenizer.json"
    if not path.exists():
        tqdm.write(f"Learning {run.plan.vocab_size:,} tokens from the corpus.")
        texts = [text for text, _ in _numbered(run.corpus, wanted=False)]
        Random(run.plan.seed).shuffle(texts)
        # Without digits no two digits ever merge: every digit is a token, and a number is copied piece by piece.
        learned = (re.sub(r"\d", "", text) for text in texts[:TOKENIZER_TEXTS])
        train_tokenizer(learned, run.plan.vocab_size).save(str(path))
    return Tokenizer.from_file(str(path))


def _pretrain_rows(run: Run, tokenizer: Tokenizer) -> Rows:
    """Return one epoch, or the part of it that the stage reads: each text as often as its source says, in any order."""
    texts = [text for text, passes in _numbered(run.corpus, wanted=False) for _ in range(passes)]
    Random(run.plan.seed).shuffle(texts)
    return cut(_first(_documents(texts, tokenizer), run.plan.pretrain.tokens), run.plan.pretrain.sequence_length)


def _finetune_rows(run: Run, tokenizer: Tokenizer) -> Rows:
    """Return one epoch of conversations, and once more the texts that pretraining repeats, so as not to forget them."""
    template = ChatTemplate(tokenizer)
    rendered = (
        template.render(Conversation.from_messages(made["messages"]))
        for made in conversations(run.corpus, run.plan.seed, scale=run.plan.conversation_scale)
    )
    texts = [text for text, passes in _numbered(run.corpus, wanted=False) if passes > 1]
    # The loop draws rows in an order of its own, so that what lies at the end comes everywhere.
    return pack(chain(rendered, _documents(texts, tokenizer)), run.plan.finetune.sequence_length)


def _documents(texts: Sequence[str], tokenizer: Tokenizer) -> Iterator[Document]:
    """Yield whole texts between two <|bos|>: the next document's is what ends this one."""
    bos = control_ids(tokenizer)["<|bos|>"]
    for start in range(0, len(texts), ENCODE_AT_ONCE):
        for encoding in tokenizer.encode_batch(texts[start : start + ENCODE_AT_ONCE], add_special_tokens=False):
            ids = [bos, *encoding.ids, bos]
            yield ids, [1] * len(ids)


def _first(documents: Iterator[Document], tokens: int) -> Iterator[Document]:
    """Yield documents until they hold so many tokens that can be read; each gives one less than it has."""
    held = 0
    while held < tokens and (document := next(documents, None)):
        held += len(document[0]) - 1
        yield document


def _numbered(folder: Path, *, wanted: bool) -> Iterator[tuple[str, int]]:
    """Yield the texts that are kept for validation, or the others."""
    for number, item in enumerate(corpus.pretraining_texts(folder)):
        if (number % VALIDATION_SHARE == 0) == wanted:
            yield item


def _kept_rows(path: Path, make: Callable[[], Rows]) -> Rows:
    if not path.exists():
        tqdm.write(f"Writing {path.name}: the corpus as rows of tokens.")
        rows = make()
        np.savez(path, ids=rows.ids, labels=rows.labels, positions=rows.positions)
    kept = np.load(path)
    return Rows(kept["ids"], kept["labels"], kept["positions"])
