"""Where training starts from and what moves it.

Matrices inside the layers are moved by Muon, which makes every update orthogonal, so that no direction of a matrix is
left behind; the embedding and the head, whose rows are words, are moved by AdamW. Starting values follow the original:
what writes into the residual stream starts at zero, so a new model is its embedding and its head alone.

Source of the division and the starting values: karpathy/nanochat, gpt.py, init_weights and setup_optimizer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.plan import Stage

MUON_MOMENTUM = 0.95
ADAM_BETAS = (0.8, 0.95)


@torch.no_grad()
def initialise(model: NanoChatForCausalLM, seed: int) -> None:
    """Give every weight its starting value, the same for the same seed."""
    torch.manual_seed(seed)
    spread = (3 / model.config.hidden_size) ** 0.5
    nn.init.normal_(model.model.embed_tokens.weight, std=1.0)
    nn.init.normal_(model.lm_head.weight, std=0.001)
    for name, matrix in model.model.layers.named_parameters():
        if name.endswith(("o_proj.weight", "fc2.weight")):
            nn.init.zeros_(matrix)
        else:
            nn.init.uniform_(matrix, -spread, spread)


def optimizers_for(model: NanoChatForCausalLM, stage: Stage) -> list[Optimizer]:
    """Return Muon for the matrices of the layers and AdamW for embedding and head, at the stage's peak rates."""
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    fused = model.device.type in ("cpu", "cuda")
    words = [
        {"params": [model.model.embed_tokens.weight], "lr": stage.embedding_learning_rate},
        {"params": [model.lm_head.weight], "lr": stage.head_learning_rate},
    ]
    return [
        Muon(matrices, lr=stage.matrix_learning_rate, momentum=MUON_MOMENTUM, weight_decay=stage.weight_decay),
        AdamW(words, betas=ADAM_BETAS, weight_decay=0.0, fused=fused),
    ]


def learning_rate_share(stage: Stage, step: int) -> float:
    """Return the share of the peak rate at `step`: up, flat, then down in a straight line to a tenth."""
    if step < stage.warmup_steps:
        return (step + 1) / stage.warmup_steps
    cooldown_steps = max(1, int(stage.steps * stage.cooldown_share))
    left = (stage.steps - step) / cooldown_steps
    return max(0.1, min(1.0, left))
