"""Native runs: the original's own numbers for both generations, every layout it leaves, and files that lie.

The golden folders were made by the original's code. Damaged and hostile files are made from them here.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import tiktoken
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from nanochat import NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.errors import CheckpointError
from nanochat.model.cache import SlotCache
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.folder import CONTROL_NAMES
from nanochat.model.native import find_run, load_native, run_files
from nanochat.model.native_tokenizer import SPLIT_PATTERN, make_tokenizer, read_tokenizer_pickle
from nanochat.recipe.tokenizer import SPLIT_PATTERN as PATTERN
from nanochat.recipe.tokenizer import train_tokenizer
from tests.original import ERAS, GOLDEN, expected

CLASSIC, CURRENT = ERAS
# The original keeps its rotary tables in bfloat16 in its classic generation.
TOLERANCE = {CLASSIC: 5e-3, CURRENT: 1e-4}

Load = tuple[NanoChatForCausalLM, Tokenizer]


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Load:
    run = find_run(folder)
    assert run is not None
    return load_native(run, lambda parameters: dtype, lambda part: None)


@pytest.fixture(scope="module")
def loaded() -> dict[str, Load]:
    return {era: load(GOLDEN / era) for era in ERAS}


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def golden_logits(era: str) -> list[tuple[list[int], Tensor]]:
    """Return each golden text with the logits of its last positions, (kept, vocabulary)."""
    tensors = load_file(GOLDEN / era / "expected.safetensors")
    return [(ids, tensors[f"logits.{place}"]) for place, ids in enumerate(expected(era)["sequences"])]


def test_one_full_pass_gives_the_originals_logits(loaded: dict[str, Load], era: str) -> None:
    model, _ = loaded[era]
    for ids, logits in golden_logits(era):
        ours = model(torch.tensor([ids])).logits[0, -len(logits) :]
        torch.testing.assert_close(ours, logits, rtol=0, atol=TOLERANCE[era])


def test_a_cache_read_in_pieces_gives_the_originals_logits(loaded: dict[str, Load], era: str) -> None:
    model, _ = loaded[era]
    for ids, logits in golden_logits(era):
        cache, read = None, []
        for piece in (ids[:9], ids[9:-3], ids[-3:-2], ids[-2:-1], ids[-1:]):
            output = model(torch.tensor([piece]), past_key_values=cache, use_cache=True)
            cache, read = output.past_key_values, [*read, output.logits[0]]
        ours = torch.cat(read)[-len(logits) :]
        torch.testing.assert_close(ours, logits, rtol=0, atol=TOLERANCE[era])


def test_slots_read_side_by_side_and_again_give_the_originals_logits(loaded: dict[str, Load], era: str) -> None:
    model, _ = loaded[era]
    texts = golden_logits(era)
    cache = SlotCache(
        model.config, len(texts), model.config.max_position_embeddings, dtype=torch.float32, device=model.device
    )
    decoder = SlotDecoder(model, cache)
    for _ in range(2):  # the second time from a beginning that the slots remember
        taken = [(cache.take(ids), ids, logits) for ids, logits in texts]
        read = [Segment(slot, tuple(ids[len(slot.ids) :])) for slot, ids, _ in taken if slot]
        for ours, (slot, _, logits) in zip(decoder.read(read), taken, strict=True):
            torch.testing.assert_close(ours[-1], logits[-1], rtol=0, atol=TOLERANCE[era])
            cache.release(slot)


def test_greedy_answers_are_the_originals(loaded: dict[str, Load], era: str) -> None:
    model, _ = loaded[era]
    for case, answer in zip(expected(era)["cases"], expected(era)["greedy"], strict=True):
        prompt = torch.tensor([case["completion_ids"]])
        ours = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=len(answer),
            do_sample=False,
            eos_token_id=[],
            pad_token_id=0,
        )
        assert ours[0, prompt.shape[1] :].tolist() == answer


def test_prompts_and_texts_have_the_originals_ids(loaded: dict[str, Load], era: str) -> None:
    template = ChatTemplate(loaded[era][1])
    for case in expected(era)["encode"]:
        assert template.encode(case["text"]) == case["ids"]
    assert template.control.bos == expected(era)["sequences"][0][0]


# What a run leaves, and where.


def copied(era: str, *places: Path) -> None:
    """Copy a golden run's model and meta file into each place."""
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for name in ("model_000010.pt", "meta_000010.json"):
            shutil.copy(GOLDEN / era / name, place)


def with_tokenizer(era: str, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN / era / "tokenizer.pkl", place)


def test_of_a_base_directory_the_last_step_of_the_deepest_chat_model_is_taken(tmp_path: Path) -> None:
    base, chat = tmp_path / "base_checkpoints", tmp_path / "chatsft_checkpoints"
    copied(CURRENT, base / "d32", chat / "d4", chat / "d20", chat / "best")
    with_tokenizer(CURRENT, tmp_path / "tokenizer")
    for step in ("000002", "000400", "1000000"):
        for kind, end in (("model", "pt"), ("meta", "json")):
            shutil.copy(chat / "d4" / f"{kind}_000010.{end}", chat / "d20" / f"{kind}_{step}.{end}")
    (chat / "d20" / "optim_000400_rank0.pt").write_bytes(b"never read")
    run = find_run(tmp_path)
    assert run is not None
    assert run.weights == chat / "d20" / "model_1000000.pt"
    assert run.meta == chat / "d20" / "meta_1000000.json"
    assert run.tokenizer == tmp_path / "tokenizer" / "tokenizer.pkl"


@pytest.mark.parametrize("named", ["", "chatsft_checkpoints", "chatsft_checkpoints/d12"])
def test_a_run_is_found_from_each_of_its_folders(tmp_path: Path, named: str) -> None:
    copied(CLASSIC, tmp_path / "chatsft_checkpoints" / "d12")
    with_tokenizer(CLASSIC, tmp_path / "tokenizer")
    model, tokenizer = load(tmp_path / named)
    assert model.config.vocab_size == tokenizer.get_vocab_size() == 512


def test_a_base_model_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    copied(CLASSIC, tmp_path / "base_checkpoints" / "my_model")
    with_tokenizer(CLASSIC, tmp_path / "tokenizer")
    run = find_run(tmp_path)
    assert run is not None
    assert run.weights.parent.name == "my_model"


def test_a_folder_without_a_run_holds_none(tmp_path: Path) -> None:
    (tmp_path / "model_best.pt").write_bytes(b"")
    assert find_run(tmp_path) is None
    assert find_run(tmp_path / "nowhere") is None


def test_of_a_repository_the_files_of_the_last_step_are_named() -> None:
    names = ["README.md", "model_000650.pt", "model_000080.pt", "meta_000650.json", "tokenizer.pkl", "optim_000900.pt"]
    assert run_files(names) == ["model_000650.pt", "meta_000650.json", "tokenizer.pkl"]
    assert run_files(["model_000650.pt"]) is None


def golden_state(era: str) -> OrderedDict[str, Tensor]:
    state = torch.load(GOLDEN / era / "model_000010.pt", weights_only=True)
    return OrderedDict((name.removeprefix("_orig_mod."), tensor) for name, tensor in state.items())


@pytest.fixture
def run_folder(tmp_path: Path, era: str) -> Path:
    copied(era, tmp_path)
    with_tokenizer(era, tmp_path)
    return tmp_path


def test_names_that_torch_compile_made_longer_are_read(loaded: dict[str, Load], era: str, run_folder: Path) -> None:
    state = {f"_orig_mod.{name}": tensor for name, tensor in golden_state(era).items()}
    torch.save(state, run_folder / "model_000010.pt")
    assert_same_weights(load(run_folder)[0], loaded[era][0])


def test_embeddings_in_bfloat16_and_parameters_are_read(loaded: dict[str, Load], era: str, run_folder: Path) -> None:
    state = golden_state(era)
    state["transformer.wte.weight"] = state["transformer.wte.weight"].bfloat16()
    state["lm_head.weight"] = torch.nn.Parameter(state["lm_head.weight"])
    torch.save(state, run_folder / "model_000010.pt")
    ours = dict(load(run_folder)[0].state_dict())
    embedding = ours.pop("model.embed_tokens.weight")
    whole = dict(loaded[era][0].state_dict())
    assert torch.equal(embedding, whole.pop("model.embed_tokens.weight").bfloat16().float())
    assert all(torch.equal(tensor, whole[name]) for name, tensor in ours.items())


def assert_same_weights(ours: NanoChatForCausalLM, other: NanoChatForCausalLM) -> None:
    expected_tensors = other.state_dict()
    assert all(torch.equal(tensor, expected_tensors[name]) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_numbers_are_of_the_type_that_is_asked_for(era: str, dtype: torch.dtype) -> None:
    model, _ = load(GOLDEN / era, dtype)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {dtype}
    assert model.config.dtype == dtype
    assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_padding_is_cut_off_a_classic_model_and_kept_by_a_current_one(loaded: dict[str, Load], tmp_path: Path) -> None:
    assert loaded[CURRENT][0].lm_head.weight.shape == (576, 64)
    assert loaded[CURRENT][0](torch.tensor([[1]])).logits.shape == (1, 1, 520)
    # The classic golden vocabulary is a multiple of 64: take away six ids, as the original would pad the rest.
    copied(CLASSIC, tmp_path)
    meta = json.loads((tmp_path / "meta_000010.json").read_text())
    meta["model_config"]["vocab_size"] = 506
    (tmp_path / "meta_000010.json").write_text(json.dumps(meta))
    state = encoding_state(CLASSIC)
    ranks = {token: rank for token, rank in state["mergeable_ranks"].items() if rank < 497}
    specials = {name: 497 + place for place, name in enumerate(CONTROL_NAMES)}
    dump_encoding(tmp_path, {**state, "mergeable_ranks": ranks, "special_tokens": specials})
    model, _ = load(tmp_path)
    assert model.config.padded_vocab_size is None
    assert model.lm_head.weight.shape == (506, 64)


# The tokenizer.


def encoding_state(era: str) -> dict[str, Any]:
    """Return what tiktoken itself reads from the golden pickle."""
    encoding = pickle.loads((GOLDEN / era / "tokenizer.pkl").read_bytes())
    state: dict[str, Any] = encoding.__getstate__()
    return state


def dump_encoding(folder: Path, state: Any, protocol: int = 4) -> None:
    """Write the tokenizer.pkl of an encoding in the given state."""
    with patch.object(tiktoken.Encoding, "__getstate__", lambda _: state):
        content = pickle.dumps(tiktoken.Encoding.__new__(tiktoken.Encoding), protocol=protocol)
    (folder / "tokenizer.pkl").write_bytes(content)


PIECES = [
    *"aeiostn .,!?'-_/\n\t\r019éßÉſ中日語한🙂🦊\u200b\u202e\u00a0\u2028\x85²Ⅷ٣क्\u0301\x00",
    *("the", " the", "'s", "'LL", "'ſ", "DON'T", "  ", "\n\n", "\r\n", "1234", "<|bos|>", "aaaa", "    ", "ing"),
]


def random_texts(count: int) -> list[str]:
    draw = random.Random(5)
    texts = []
    for _ in range(count):
        pieces = draw.choices(PIECES, k=draw.randrange(1, 40))
        pieces += [chr(draw.choice((draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)))) for _ in range(3)]
        draw.shuffle(pieces)
        texts.append("".join(pieces))
    return texts


def assert_same_ids(ours: Tokenizer, encoding: tiktoken.Encoding, texts: list[str]) -> None:
    template = ChatTemplate(ours)
    for text in texts:
        assert template.encode(text) == encoding.encode_ordinary(text), text
        assert b"".join(template.token_bytes(token) for token in template.encode(text)) == text.encode()


def test_random_text_has_tiktokens_ids(loaded: dict[str, Load], era: str) -> None:
    encoding = pickle.loads((GOLDEN / era / "tokenizer.pkl").read_bytes())
    assert_same_ids(loaded[era][1], encoding, random_texts(400))


def test_a_larger_vocabulary_has_tiktokens_ids() -> None:
    words = [word for text in random_texts(300) for word in (text, "antidisestablishmentarianism", "wholly", " holly")]
    state = trained_ranks([*words, *LINES], 1500)
    assert_same_ids(make_tokenizer(state), tiktoken.Encoding("test", **unnamed(state)), [*random_texts(300), *LINES])


LINES = [line for line in Path(__file__).read_text().splitlines() if line] * 3


def trained_ranks(texts: list[str], size: int) -> dict[str, Any]:
    """Learn merges, and return them as tiktoken keeps them: bytes in the order of the merges."""
    trained = train_tokenizer(texts, size + len(CONTROL_NAMES))
    template = ChatTemplate(trained)
    ranks = {template.token_bytes(rank): rank for rank in range(size)}
    specials = {name: size + place for place, name in enumerate(CONTROL_NAMES)}
    return {"name": "test", "pat_str": PATTERN, "mergeable_ranks": ranks, "special_tokens": specials}


def unnamed(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != "name"}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_tokenizer_is_read_whichever_way_it_was_pickled(tmp_path: Path, era: str, protocol: int) -> None:
    dump_encoding(tmp_path, encoding_state(era), protocol)
    again = read_tokenizer_pickle(tmp_path / "tokenizer.pkl")
    assert again.get_vocab() == read_tokenizer_pickle(GOLDEN / era / "tokenizer.pkl").get_vocab()


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_digits_may_go_together_as_the_original_lets_one_choose(tmp_path: Path, digits: int) -> None:
    state = {**encoding_state(CURRENT), "pat_str": PATTERN.replace("{1,2}", f"{{1,{digits}}}")}
    encoding = tiktoken.Encoding("test", **unnamed(state))
    assert_same_ids(make_tokenizer(state), encoding, ["1234567 12 1", "a1b22c333"])
    assert SPLIT_PATTERN.fullmatch(PATTERN)


# Files that lie. Each case damages one file of a good run; each must end in one sentence, and touch nothing.

CANARY = "canary"


class Command:
    """An object whose pickle, when it is loaded the usual way, runs a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def saved(change: Callable[[OrderedDict[str, Tensor]], Any]) -> Callable[[Path], None]:
    """Return a damage: the state dict changed and saved again by torch."""

    def damage(run: Path) -> None:
        state = golden_state(CURRENT)
        changed = change(state)
        torch.save(state if changed is None else changed, run / "model_000010.pt")

    return damage


def written(name: str, content: bytes | str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(content.encode() if isinstance(content, str) else content) and None


def flipped(name: str, place: float) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[int(place * len(content))] ^= 0x10
        (run / name).write_bytes(bytes(content))

    return damage


def cut(name: str, share: float) -> Callable[[Path], None]:
    return lambda run: os.truncate(run / name, int((run / name).stat().st_size * share))


def repacked(change: Callable[[str, bytes], bytes | None], method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """Return a damage: the archive packed again with its records changed, None leaving one out."""

    def damage(run: Path) -> None:
        file = run / "model_000010.pt"
        with zipfile.ZipFile(file) as archive:
            records = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, content in records.items():
                if (changed := change(name, content)) is not None:
                    archive.writestr(name, changed)

    return damage


def meta(**changes: Any) -> Callable[[Path], None]:
    """Return a damage: numbers of model_config changed, None taking one out."""

    def damage(run: Path) -> None:
        whole = json.loads((run / "meta_000010.json").read_text())
        config = {**whole["model_config"], **changes}
        whole["model_config"] = {key: value for key, value in config.items() if value is not None}
        (run / "meta_000010.json").write_text(json.dumps(whole))

    return damage


def encoded(**changes: Any) -> Callable[[Path], None]:
    return lambda run: dump_encoding(run, {**encoding_state(CURRENT), **changes})


def named(*globals_: str) -> bytes:
    """Return a pickle that names things and calls the last of them with a command, without importing any."""
    return (
        b"".join(f"c{chr(10).join(name.rsplit('.', 1))}\n".encode() for name in globals_)
        + b"X\x0c\0\0\0touch canary\x85R."
    )


def without(name: str) -> Callable[[Path], None]:
    return saved(lambda state: {other: tensor for other, tensor in state.items() if other != name})


def renamed(state: OrderedDict[str, Tensor], old: str, new: str) -> OrderedDict[str, Tensor]:
    return OrderedDict((name.replace(old, new), tensor) for name, tensor in state.items())


def only(state: OrderedDict[str, Tensor], *kept: str) -> None:
    """Leave the tensors of the classic architecture and those named."""
    for name in list(state):
        if not name.startswith(("transformer.", "lm_head.", *kept)) or ("ve_gate" in name and "ve_gate" not in kept):
            del state[name]


def between(mark: str, *kept: str) -> Callable[[Path], None]:
    def change(state: OrderedDict[str, Tensor]) -> None:
        only(state, "resid_lambdas", "x0_lambdas", *kept)
        if mark:
            state[mark] = torch.zeros(5)

    return saved(change)


ranks = encoding_state(CURRENT)["mergeable_ranks"]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    # The weights.
    "cut short": (cut("model_000010.pt", 0.6), "cut short or damaged"),
    "cut by a byte": (cut("model_000010.pt", 0.9999999), "cut short or damaged"),
    "empty": (written("model_000010.pt", b""), "cut short or damaged"),
    "a bit of a number": (flipped("model_000010.pt", 0.5), "are damaged: copy the file again"),
    "a bit of the list of tensors": (flipped("model_000010.pt", 0.003), "damaged"),
    "a web page for weights": (written("model_000010.pt", "<!doctype html><title>404</title>"), "is a web page"),
    "a pointer for weights": (written("model_000010.pt", LFS), "is a Git LFS pointer"),
    "random bytes for weights": (written("model_000010.pt", os.urandom(3000)), "cut short or damaged, or no file of"),
    "a command in a bare pickle": (
        lambda run: (run / "model_000010.pt").write_bytes(pickle.dumps(Command())) and None,
        "is a bare pickle",
    ),
    "a command among tensors": (saved(lambda state: {**state, "x": Command()}), r"asks for posix\.system"),
    "a command in place of tensors": (
        repacked(lambda name, content: named("builtins.eval") if name.endswith("data.pkl") else content),
        r"asks for builtins\.eval",
    ),
    "a whole model pickled": (
        saved(lambda state: torch.nn.Linear(2, 2)),
        r"asks for torch\.nn\.modules\.linear\.Linear",
    ),
    "the state of an optimizer": (saved(lambda state: {"state": {}, "param_groups": []}), "state is not a tensor"),
    "a number for weights": (saved(lambda state: 5), "does not hold tensors by name"),
    "whole numbers": (
        saved(lambda state: state.update({"lm_head.weight": state["lm_head.weight"].long()})),
        "does not hold floating-point numbers",
    ),
    "one number seen as many": (
        saved(lambda state: state.update({"lm_head.weight": torch.zeros(1).expand(576, 64)})),
        "is a view into another tensor",
    ),
    "numbers shared by two tensors": (
        saved(lambda state: state.update({"lm_head.weight": state["transformer.wte.weight"]})),
        "missing, shared or not as many",
    ),
    "numbers left out": (
        repacked(lambda name, content: None if name.endswith("/data/3") else content),
        "missing, shared or not as many",
    ),
    "numbers compressed": (repacked(lambda name, content: content, zipfile.ZIP_DEFLATED), "is compressed"),
    "another archive": (repacked(lambda name, content: None if "data" in name else content), "not one of torch.save"),
    "a tensor too few": (
        without("transformer.h.3.mlp.c_fc.weight"),
        "lacks the tensor",
    ),
    "the smear left out": (without("smear_lambda"), "lacks the tensor smear_lambda"),
    "a tensor too many": (saved(lambda state: state.update(extra=torch.zeros(1))), "has a tensor extra, which no"),
    "a tensor of another shape": (
        saved(lambda state: state.update(x0_lambdas=torch.zeros(6))),
        r"x0_lambdas has the shape \(6,\), but by its meta file it is \(5,\)",
    ),
    "another architecture": (saved(lambda state: renamed(state, "transformer.", "gpt_neox.")), "lacks the tensor"),
    "numbers that are not finite": (
        saved(lambda state: {**state, "x0_lambdas": torch.tensor([0.0, 0.0, float("nan"), 0.0, 0.0])}),
        "numbers that are not finite",
    ),
    "lambdas alone": (between(""), "January 2026, with residual lambdas but no value embeddings"),
    "values on every layer": (between("v0_lambdas", "value_embeds"), "with value embeddings on every layer"),
    "values of low rank": (between("value_embed_A.weight"), "with value embeddings of low rank"),
    "one value embedding": (between("value_embed.weight"), "with one value embedding for the last layers"),
    "values but no smear": (between("", "value_embeds", "ve_gate"), "with value embeddings but no smear"),
    "embeddings of pairs": (between("bigram_embed.embed.weight", "value_embeds"), "with embeddings of token pairs"),
    "windows alone": (saved(only), "with windows but nothing else"),
    # The meta file.
    "no meta file": (lambda run: (run / "meta_000010.json").unlink(), "has no meta_000010.json beside it"),
    "a meta file cut short": (cut("meta_000010.json", 0.5), "is not JSON"),
    "a web page for meta": (written("meta_000010.json", "<html>"), "is a web page"),
    "a meta file of nothing": (written("meta_000010.json", "{}"), "has no model_config"),
    "an unknown number": (meta(n_experts=8), "has 'n_experts', which no architecture"),
    "a number too few": (meta(n_kv_head=None), "lacks n_kv_head"),
    "a number that is text": (meta(n_embd="64"), "describes no model"),
    "a number that is no number": (meta(vocab_size=float("nan")), "describes no model"),
    "more layers than memory": (meta(n_layer=10**12), "num_hidden_layers is 1000000000000"),
    "more layers than tensors": (meta(n_layer=6), "lacks the tensor"),
    "heads that do not divide": (meta(n_head=5), "describes no model"),
    "no heads": (meta(n_head=0), "describes no model"),
    "unknown windows": (meta(window_pattern="SSXL"), "window_pattern must be letters S and L"),
    # The tokenizer.
    "no tokenizer": (lambda run: (run / "tokenizer.pkl").unlink(), "tokenizer.pkl is missing"),
    "a command for a tokenizer": (
        lambda run: (run / "tokenizer.pkl").write_bytes(pickle.dumps(Command())) and None,
        r"asks for posix\.system, which has no place here",
    ),
    "a command by its name": (written("tokenizer.pkl", named("os.system")), r"asks for os\.system"),
    "a command by a detour": (
        written("tokenizer.pkl", named("tiktoken.core.Encoding", "builtins.getattr")),
        r"asks for builtins\.getattr",
    ),
    "a command inside the ranks": (encoded(mergeable_ranks=Command()), r"asks for posix\.system"),
    "a memory without end": (written("tokenizer.pkl", b"\x80\x04Nr\xff\xff\xff\x7f."), "not a tiktoken Encoding"),
    "a tokenizer cut short": (cut("tokenizer.pkl", 0.5), "its pickle is damaged"),
    "a pointer for a tokenizer": (written("tokenizer.pkl", LFS), "is a Git LFS pointer"),
    "a name for a tokenizer": (
        lambda run: dump_encoding(run, "gpt2"),
        "only names tiktoken's own encoding 'gpt2'",
    ),
    "the tokenizer of another run": (lambda run: with_tokenizer(CLASSIC, run), "they are of different runs"),
    "other control tokens": (encoded(special_tokens={"<|endoftext|>": 511}), "special tokens are not nanochat's nine"),
    "control tokens out of order": (
        encoded(special_tokens={name: 519 - place for place, name in enumerate(CONTROL_NAMES)}),
        "do not follow the other tokens",
    ),
    "ranks with a gap": (encoded(mergeable_ranks={t: r + (r > 300) for t, r in ranks.items()}), "gaps or repeat"),
    "ranks that repeat": (encoded(mergeable_ranks={t: min(r, 300) for t, r in ranks.items()}), "gaps or repeat"),
    "ranks that are text": (encoded(mergeable_ranks={t.hex(): r for t, r in ranks.items()}), "not a table of bytes"),
    "a byte without token": (
        encoded(mergeable_ranks={b"no byte" if t == b"\x07" else t: r for t, r in ranks.items()}),
        "has no token for some bytes",
    ),
    "a token out of nowhere": (
        encoded(mergeable_ranks={b"qzqzqz" if r == 510 else t: r for t, r in ranks.items()}),
        "cannot be joined from others",
    ),
    "a token too long": (
        encoded(mergeable_ranks={b"a" * 20_000 if r == 510 else t: r for t, r in ranks.items()}),
        "longer than training makes them",
    ),
    "another way to split": (encoded(pat_str=r"(a+)+$|\S+|\s+"), "splits text by another pattern"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_or_hostile_run_ends_in_one_sentence_and_runs_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    copied(CURRENT, run)
    with_tokenizer(CURRENT, run)
    damage, told = DAMAGES[case]
    damage(run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=told) as refusal:
        load_checkpoint(str(run), device="cpu")
    assert not list(tmp_path.rglob(CANARY))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400 + len(str(run))
    assert str(refusal.value)[-1] in ".!"


def test_the_command_of_these_tests_runs_when_a_pickle_is_loaded_the_usual_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Command()))
    assert (tmp_path / CANARY).exists()


@pytest.mark.parametrize("name", ["model_000010.pt", "tokenizer.pkl", "meta_000010.json"])
def test_flipped_bits_anywhere_are_refused_or_change_nothing(
    loaded: dict[str, Load], name: str, tmp_path: Path
) -> None:
    copied(CLASSIC, tmp_path)
    with_tokenizer(CLASSIC, tmp_path)
    whole = (tmp_path / name).read_bytes()
    draw = random.Random(11)
    refused = 0
    for _ in range(24):
        place = draw.randrange(len(whole))
        (tmp_path / name).write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :]
        )
        try:
            model, _ = load(tmp_path)
        except CheckpointError:
            refused += 1
        else:
            assert_same_weights(model, loaded[CLASSIC][0])
    assert refused > 8


# Memory.

PEAK = """
import sys, torch
from pathlib import Path
from nanochat.model.native import find_run, load_native
def peak():  # ru_maxrss would begin with the peak of the process that started this one
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
run = find_run(Path(sys.argv[1]))
before = peak()
for dtype in (torch.bfloat16, torch.float32):
    model, _ = load_native(run, lambda parameters: dtype, lambda part: None)
    print(peak() - before)
    del model
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak there")
def test_loading_needs_the_models_memory_and_little_more(large_run: tuple[Path, int]) -> None:
    folder, size_bytes = large_run
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    for peak, needed in zip(map(int, ended.stdout.split()), (size_bytes / 2, size_bytes), strict=True):
        # One tensor as it is stored, 16 MB, the code that is loaded on first use, and what the allocator keeps.
        assert 0.9 * needed < peak < needed + 100e6


@pytest.fixture(scope="module")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A classic run of some 300 MB: as wide as a d16, six layers deep."""
    folder = tmp_path_factory.mktemp("large")
    with_tokenizer(CLASSIC, folder)
    sizes = {"sequence_len": 2048, "vocab_size": 512, "n_layer": 6, "n_head": 8, "n_kv_head": 8, "n_embd": 1024}
    (folder / "meta_000001.json").write_text(json.dumps({"model_config": sizes}))
    state = {"transformer.wte.weight": torch.ones(512, 1024), "lm_head.weight": torch.ones(512, 1024)}
    for layer in range(6):
        for name in ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj"):
            state[f"transformer.h.{layer}.{name}.weight"] = torch.ones(1024, 1024)
        state[f"transformer.h.{layer}.mlp.c_fc.weight"] = torch.ones(4096, 1024)
        state[f"transformer.h.{layer}.mlp.c_proj.weight"] = torch.ones(1024, 4096)
    torch.save(state, folder / "model_000001.pt")
    yield folder, sum(tensor.nbytes for tensor in state.values())
    shutil.rmtree(folder)
