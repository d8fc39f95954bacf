"""`python -m nanochat train` and `python -m nanochat eval`: arguments in, a trained model or a table out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from nanochat.chat.template import ChatTemplate
from nanochat.errors import RecipeError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.recipe.card import model_card, spent
from nanochat.recipe.evaluation import Evaluation, evaluate
from nanochat.recipe.plan import PLANS
from nanochat.recipe.run import Run, run_recipe
from nanochat.recipe.scoring import markdown_table
from nanochat.recipe.training import TrainingOptions


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `train` takes."""
    parser.add_argument("--corpus", type=Path, required=True, help="the folder that holds the training text")
    parser.add_argument("--output", type=Path, default=Path("runs/nanochat"), help="where the run keeps its files")
    parser.add_argument("--plan", choices=sorted(PLANS), default="small", help="size of the model and of the run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-compile", action="store_true", help="train without torch.compile: slower, starts at once")


def train_command(arguments: argparse.Namespace) -> None:
    """Train, score and write the model's folder, from wherever the last run in `--output` stopped."""
    plan = PLANS[arguments.plan]
    options = TrainingOptions(
        arguments.output, torch.device(arguments.device), compile=not arguments.no_compile, seed=plan.seed
    )
    folder = run_recipe(Run(plan, arguments.corpus, options))
    # What is scored is what was written: weights rounded to bfloat16, read back as the page reads them.
    checkpoint = load_checkpoint(str(folder), device=arguments.device)
    evaluation = evaluate(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer), arguments.corpus)
    stages = spent(arguments.output / "log.jsonl")
    card = model_card(checkpoint.model, stages, evaluation.scores, evaluation.bits, evaluation.told)
    (folder / "README.md").write_text(card)
    print_evaluation(evaluation)
    print(f"The model is in {folder}: NANOCHAT_MODEL={folder} python app.py")


def add_eval_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `eval` takes."""
    parser.add_argument("--corpus", type=Path, required=True, help="the folder that holds the held-out facts")
    parser.add_argument("--model", default="embedded", help="embedded, a folder or a Hub id")
    parser.add_argument("--answers", type=Path, help="write every question and answer here, as JSON lines")


def eval_command(arguments: argparse.Namespace) -> None:
    """Score a model on the held-out questions and print the table."""
    checkpoint = load_checkpoint(arguments.model)
    evaluation = evaluate(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer), arguments.corpus)
    if arguments.answers:
        _write_answers(evaluation, arguments.answers)
    print_evaluation(evaluation)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the table and bits a byte."""
    print(markdown_table(evaluation.scores))
    print(f"\nvalidation: {evaluation.bits:.3f} bits a byte")


def _write_answers(evaluation: Evaluation, target: Path) -> None:
    lines = [
        json.dumps(
            {
                "subject": each.question.subject,
                "messages": each.question.messages,
                "answer": each.answer,
                "reference": each.question.reference,
                "points": each.points,
            }
        )
        for each in evaluation.told
    ]
    try:
        target.write_text("\n".join(lines) + "\n")
    except OSError as exc:
        raise RecipeError(f"The answers cannot be written to {target}: {exc.strerror}.") from exc
