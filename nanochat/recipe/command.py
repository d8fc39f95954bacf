"""What the verbs train, eval and bench do: arguments in, a trained model or a table out."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from nanochat.chat.template import ChatTemplate
from nanochat.errors import RecipeError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.threads import apart
from nanochat.recipe.card import model_card, spent
from nanochat.recipe.evaluation import Evaluation, evaluate, quantization_loss
from nanochat.recipe.plan import PLANS, Plan
from nanochat.recipe.run import Run, run_recipe
from nanochat.recipe.scoring import markdown_table
from nanochat.recipe.speed import measure_training
from nanochat.recipe.training import TrainingOptions


def train_command(corpus: Path, output: Path, plan: str, device: str, *, compiled: bool) -> None:
    """Train, score and write the model's folder, from wherever the last run in `output` stopped."""
    planned = plan_named(plan)
    options = TrainingOptions(output, device_named(device), compile=compiled, seed=planned.seed)
    folder = run_recipe(Run(planned, corpus, options))
    # What is scored is what was written, read back as the page reads it: on a processor, in int8.
    checkpoint = apart(load_checkpoint)(str(folder), device=device, quantize="auto")
    evaluation = evaluate(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer), corpus)
    stages = spent(output / "log.jsonl")
    card = model_card(checkpoint.model, stages, evaluation.scores, evaluation.bits, evaluation.told)
    (folder / "README.md").write_text(card)
    print_evaluation(evaluation)
    print(f"The model is in {folder}: NANOCHAT_MODEL={folder} python app.py")


def eval_command(corpus: Path, model: str, device: str, answers: Path | None) -> None:
    """Score a model on the held-out questions and print the table; write every answer to `answers` where given."""
    checkpoint = apart(load_checkpoint)(model, device=device, quantize="auto")
    evaluation = evaluate(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer), corpus)
    if answers:
        _write_answers(evaluation, answers)
    print_evaluation(evaluation)


def loss_command(corpus: Path, model: str, quantization: str) -> None:
    """Print what a quantization loses in bits a byte of held-out text."""
    print(quantization_loss(model, corpus, quantization))


def bench_train_command(plan: str, device: str) -> None:
    """Print how fast the recipe trains beside transformers' own model, step by step in turns."""
    planned = plan_named(plan)
    for stage in (planned.pretrain, planned.finetune):
        speed = measure_training(planned, stage, device_named(device))
        print(
            f"{stage.name}, rows of {stage.sequence_length}: {speed.recipe_tokens_per_second:,.0f} tokens/s; "
            f"transformers {speed.rival_tokens_per_second:,.0f}; ratio {speed.ratio:.2f}"
        )


def plan_named(name: str) -> Plan:
    """Return a plan by its name. Raises RecipeError, which names the plans there are."""
    if name not in PLANS:
        raise RecipeError(f"There is no plan of this name: the plans are {', '.join(sorted(PLANS))}.")
    return PLANS[name]


def device_named(name: str) -> torch.device:
    """Return the device; auto is a GPU of NVIDIA where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)


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
