"""Where training starts from and what moves it.

Matrices inside the layers are moved by Muon, which makes every update orthogonal, so that no direction of a matrix is
left behind; tables, whose rows are words, the head and single numbers are moved by AdamW. Starting values follow the
original: what writes into the residual stream starts at zero, so a new model is its embedding and its head alone.

The current architecture adds tables and numbers, each kind with a rate of its own. The original gives these rates
beside the embedding's; here they are kept as shares of it, so that a stage that moves slower moves all of them slower.

Source of the division and the starting values: karpathy/nanochat, gpt.py, init_weights and setup_optimizer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from nanochat.model.current import NanoChatBackout, NanoChatResidualMix, NanoChatSmear, NanoChatValueEmbedding
from nanochat.model.current import initialize as initialize_addition
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.plan import Stage

MUON_MOMENTUM = 0.95
ADAM_BETAS = (0.8, 0.95)

VALUE_TABLE_RATE = 0.5
# A layer's share of the stream multiplies all that came before, so it moves least.
STREAM_RATE = 0.025
START_RATE = 2.5
START_BETAS = (0.96, 0.95)


@torch.no_grad()
def initialise(model: NanoChatForCausalLM, seed: int) -> None:
    """Give every weight its starting value, the same for the same seed."""
    torch.manual_seed(seed)
    classic = model.config.is_classic
    spread = (3 / model.config.hidden_size) ** 0.5
    nn.init.normal_(model.model.embed_tokens.weight, std=1.0 if classic else 0.8)
    nn.init.normal_(model.lm_head.weight, std=0.001)
    for name, matrix in model.model.layers.named_parameters():
        if name.endswith(("o_proj.weight", "fc2.weight")):
            nn.init.zeros_(matrix)
        else:
            # The original of today starts the MLP's first matrix smaller.
            bound = spread if classic or not name.endswith("fc1.weight") else 0.4 * spread
            nn.init.uniform_(matrix, -bound, bound)
    # What the current architecture adds starts from values of its own, which replace those of the loop.
    for module in model.modules():
        initialize_addition(module, model.config.hidden_size)


def optimizers_for(model: NanoChatForCausalLM, stage: Stage) -> list[Optimizer]:
    """Return Muon for the matrices of the layers and AdamW for everything else, at the stage's peak rates."""
    fused = model.device.type in ("cpu", "cuda")
    groups = [
        {"params": [model.model.embed_tokens.weight], "lr": stage.embedding_learning_rate},
        {"params": [model.lm_head.weight], "lr": stage.head_learning_rate},
        *_additions(model, stage.embedding_learning_rate),
    ]
    elsewhere = {id(weight) for group in groups for weight in group["params"]}
    matrices = [weight for weight in model.model.layers.parameters() if id(weight) not in elsewhere]
    return [
        Muon(matrices, lr=stage.matrix_learning_rate, momentum=MUON_MOMENTUM, weight_decay=stage.weight_decay),
        AdamW(groups, betas=ADAM_BETAS, weight_decay=0.0, fused=fused),
    ]


def _additions(model: NanoChatForCausalLM, rate: float) -> list[dict[str, Any]]:
    """Return AdamW's groups for what the current architecture adds: none for a classic model.

    The gates of value embeddings are matrices of the layers, and stay with those.
    """
    tables, streams, starts, numbers = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
    for module in model.modules():
        match module:
            case NanoChatValueEmbedding():
                tables.append(module.table.weight)
            case NanoChatResidualMix():
                streams.append(module.stream)
                starts.append(module.start)
            case NanoChatSmear():
                numbers += [module.gate.weight, module.scale]
            case NanoChatBackout():
                numbers.append(module.scale)
    groups: list[dict[str, Any]] = [
        {"params": tables, "lr": VALUE_TABLE_RATE * rate, "weight_decay": 0.01},
        {"params": streams, "lr": STREAM_RATE * rate, "weight_decay": 0.05},
        {"params": starts, "lr": START_RATE * rate, "betas": START_BETAS},
        {"params": numbers, "lr": rate},
    ]
    return [group for group in groups if group["params"]]


def learning_rate_share(stage: Stage, step: int) -> float:
    """Return the share of the peak rate at `step`: up, flat, then down in a straight line to a tenth."""
    if step < stage.warmup_steps:
        return (step + 1) / stage.warmup_steps
    cooldown_steps = max(1, int(stage.steps * stage.cooldown_share))
    left = (stage.steps - step) / cooldown_steps
    return max(0.1, min(1.0, left))
