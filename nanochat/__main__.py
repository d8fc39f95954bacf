"""The command line: `python -m nanochat VERB`, each verb one call into one layer.

    chat     talk in this terminal
    run      answer JSON messages from standard input
    convert  write any model that loads here as a Hugging Face folder
    train    make a model from the recipe, resumable
    eval     score a model on the recipe's held-out questions
    bench    measure speed beside transformers' own: of answering, or with `bench train` of training

A verb is two functions: one declares its options, the other does it and returns the exit status. The layer it calls is
imported when it runs, so that no verb pays for another.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanochat.errors import InvalidSettingError, NanoChatError, SettingsError
from nanochat.settings import use_huge_pages

if TYPE_CHECKING:
    from nanochat.chat.engine import LocalEngine
    from nanochat.chat.sampling import SamplingSettings

# The sampling settings by the names they have everywhere, the type of each, and what it does.
SAMPLING = {
    "temperature": (float, "0 always takes the most probable token; up to 2"),
    "top_k": (int, "draw from so many of the most probable tokens; 0 is no limit"),
    "top_p": (float, "draw from the tokens that together have this probability; 1 is all of them"),
    "repetition_penalty": (float, "makes tokens less probable that were there already; 1 is off"),
    "max_tokens": (int, "the longest answer"),
    "seed": (int, "gives the same answer again; without it each answer draws its own"),
}
FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run a verb and return the exit status: 0 done, 1 failed, 2 not understood, 130 interrupted."""
    use_huge_pages()
    options = _parser().parse_args(arguments)
    do: Callable[[argparse.Namespace], int] = options.do
    try:
        return do(options)
    except NanoChatError as error:
        print(error, file=sys.stderr)
        return MISUSED if isinstance(error, InvalidSettingError | SettingsError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the answers has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m nanochat", description="Chat with a NanoChat model.")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for declare in (_declare_chat, _declare_run, _declare_convert, _declare_train, _declare_eval, _declare_bench):
        declare(verbs)
    return parser


def _declare_chat(verbs: Any) -> None:
    verb = verbs.add_parser("chat", help="talk in this terminal")
    _declare_model(verb)
    _declare_sampling(verb)
    verb.set_defaults(do=_chat)


def _chat(options: argparse.Namespace) -> int:
    from nanochat.chat.terminal import Chat, converse

    # Lets arrow keys edit and recall lines, where Python has it.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    chat = Chat(_sampling(options), options.system_prompt)
    converse(_engine(options), chat, lambda: input("\n> "), sys.stdout)
    return 0


def _declare_run(verbs: Any) -> None:
    verb = verbs.add_parser(
        "run",
        help="answer JSON messages from standard input",
        description='Each line is {"role": "user", "content": "…"}, or a list of messages, and is answered by itself.',
    )
    _declare_model(verb)
    _declare_sampling(verb)
    verb.add_argument("--json", action="store_true", help="print each answer as a line of JSON")
    verb.set_defaults(do=_run)


def _run(options: argparse.Namespace) -> int:
    from nanochat.chat.pipe import Pipe, answer_lines

    settings = _sampling(options)
    pipe = Pipe(_engine(options), settings, sys.stdout, sys.stderr, options.system_prompt, options.json)
    # Bytes that are no UTF-8 become what the door refuses, in the line where they are.
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    return 0 if answer_lines(pipe, sys.stdin) else MISUSED


def _declare_convert(verbs: Any) -> None:
    verb = verbs.add_parser(
        "convert",
        help="write any model that loads here as a Hugging Face folder",
        description="Read a model, write it as safetensors with its tokenizer, and compare what both answer.",
    )
    verb.add_argument(
        "source", help='a run of karpathy/nanochat, a folder, a Hub id with an optional @revision, "embedded"'
    )
    verb.add_argument("target", type=Path, help="the folder to write, which must not exist yet")
    verb.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    verb.add_argument("--push-to-hub", metavar="REPOSITORY", help="upload it too; a new repository is private")
    verb.set_defaults(do=_convert)


def _convert(options: argparse.Namespace) -> int:
    from nanochat.model.convert import convert, push, require_token

    if options.push_to_hub:
        require_token()
    done = convert(options.source, options.target, dtype=options.dtype, progress=_show_progress)
    print(f"{done.folder}: {done.parameters:,} parameters in {done.dtype}, {done.size_bytes / 1e6:,.1f} MB.")
    print(f"Read back, its logits of {done.compared_tokens} tokens differ by {done.largest_difference:g} at most.")
    loaded_by = "transformers loads it." if done.is_classic else "transformers does not know its architecture."
    print(f"NANOCHAT_MODEL={done.folder} python app.py chats with it; {loaded_by}")
    if options.push_to_hub:
        print(f"Uploaded to {push(done.folder, options.push_to_hub)}")
    return 0


def _declare_train(verbs: Any) -> None:
    verb = verbs.add_parser("train", help="make a model from the recipe, resumable")
    verb.add_argument("--corpus", type=Path, required=True, help="the folder that holds the training text")
    verb.add_argument("--output", type=Path, default=Path("runs/nanochat"), help="where the run keeps its files")
    verb.add_argument("--plan", default="small", help="size of model and run: tiny, small or full")
    verb.add_argument("--device", default="auto", help="auto, cpu or cuda")
    verb.add_argument("--no-compile", action="store_true", help="train without torch.compile: slower, starts at once")
    verb.set_defaults(do=_train)


def _train(options: argparse.Namespace) -> int:
    from nanochat.recipe.command import train_command

    train_command(options.corpus, options.output, options.plan, options.device, compiled=not options.no_compile)
    return 0


def _declare_eval(verbs: Any) -> None:
    verb = verbs.add_parser("eval", help="score a model on the recipe's held-out questions")
    verb.add_argument("--corpus", type=Path, required=True, help="the folder that holds the facts that are asked")
    verb.add_argument("--model", default="embedded", help='"embedded", a folder or a Hub id, @revision after it')
    verb.add_argument("--device", default="auto", help="auto, cpu or cuda")
    verb.add_argument("--answers", type=Path, help="write every question and answer here, as JSON lines")
    verb.add_argument(
        "--quantize", choices=["int8", "int4"], help="only tell what this loses in bits a byte of held-out text"
    )
    verb.set_defaults(do=_eval)


def _eval(options: argparse.Namespace) -> int:
    from nanochat.recipe.command import eval_command, loss_command

    if options.quantize:
        loss_command(options.corpus, options.model, options.quantize)
        return 0
    eval_command(options.corpus, options.model, options.device, options.answers)
    return 0


def _declare_bench(verbs: Any) -> None:
    verb = verbs.add_parser(
        "bench",
        help="measure speed beside transformers' own",
        description="Each figure beside its rival, in turns: of answering by default, of training with `bench train`.",
    )
    verb.add_argument("what", nargs="?", choices=["answer", "train"], default="answer", help="answer or train")
    verb.add_argument("--device", default="auto", help="auto, cpu or cuda")
    answering = verb.add_argument_group("bench")
    answering.add_argument("--model", choices=["embedded", "d20", "d32", "all"], default="embedded")
    answering.add_argument("--rounds", type=int, default=5, help="of which each figure is the median")
    answering.add_argument(
        "--only", action="append", default=[], metavar="FIGURE", help="may be repeated; without it, all"
    )
    answering.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON too")
    training = verb.add_argument_group("bench train")
    training.add_argument("--plan", default="small", help="tiny, small or full")
    verb.set_defaults(do=_bench)


def _bench(options: argparse.Namespace) -> int:
    if options.what == "train":
        from nanochat.recipe.command import bench_train_command

        bench_train_command(options.plan, options.device)
        return 0
    from nanochat.bench.command import bench_command

    bench_command(options.model, options.device, options.rounds, options.only, options.json)
    return 0


def _declare_model(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--model", help='"embedded", a folder or a Hub id, @revision after it; default: NANOCHAT_MODEL')
    verb.add_argument("--device", help="auto, cpu, cuda, cuda:N, mps or all; default: NANOCHAT_DEVICE")
    verb.add_argument("--dtype", help="auto, float32, bfloat16 or float16; default: NANOCHAT_DTYPE")
    verb.add_argument("--quantize", help="auto, none, int8 or int4; default: NANOCHAT_QUANTIZE")
    verb.add_argument("--threads", help="of the processor, 0 for torch's choice; default: NANOCHAT_THREADS")


def _declare_sampling(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--system-prompt", default="", help="what comes before the first message")
    for name, (kind, about) in SAMPLING.items():
        verb.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="NUMBER", help=about)


def _sampling(options: argparse.Namespace) -> SamplingSettings:
    from nanochat.chat.sampling import SamplingSettings

    given = {name: getattr(options, name) for name in SAMPLING if getattr(options, name) is not None}
    return SamplingSettings(**given)


def _engine(options: argparse.Namespace) -> LocalEngine:
    """Load the model named by options and environment, and the engine that answers one person with it."""
    from nanochat.model.threads import apart

    return apart(_loaded_engine)(options)


def _loaded_engine(options: argparse.Namespace) -> LocalEngine:
    import torch

    from nanochat.chat.engine import EngineLimits, LocalEngine
    from nanochat.chat.template import ChatTemplate
    from nanochat.model.checkpoint import load_checkpoint
    from nanochat.model.packing import pack
    from nanochat.settings import Settings

    named = {name: getattr(options, name) for name in ("model", "device", "dtype", "quantize", "threads")}
    settings = Settings.from_environment(**named)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    checkpoint = load_checkpoint(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        quantize=settings.quantize,
        progress=_show_progress,
    )
    if not settings.compile:
        pack(checkpoint.model)
    limits = EngineLimits(slots=1, queue=0, deadline_seconds=settings.deadline_seconds)
    template = ChatTemplate(checkpoint.tokenizer.backend_tokenizer)
    return LocalEngine(checkpoint.model, template, limits, stepping=settings.stepping)


def _show_progress(text: str, fraction: float) -> None:
    """Write on one line of a terminal what is going on, and nothing where nobody watches."""
    if sys.stderr.isatty():
        # Erase the line; the last step leaves it empty.
        sys.stderr.write("\r\033[K" + (f"{text} {fraction:4.0%}" if fraction < 1 else ""))
        sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
