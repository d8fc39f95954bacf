"""From settings to a model that answers: its checkpoint, its template and the engine that this machine calls for.

On ZeroGPU a GPU is lent for each answer; everywhere else the model answers in this process, and can be looked into.
"""

from __future__ import annotations

from nanochat.chat.engine import Engine, EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.chat.zerogpu import GPULender, ZeroGPUEngine
from nanochat.lens.observed import ObservedEngine
from nanochat.model.checkpoint import Progress, load_checkpoint
from nanochat.model.facts import facts_of
from nanochat.settings import Settings
from nanochat.ui.served import ServedModel


def serve(settings: Settings, lender: GPULender, progress: Progress) -> ServedModel:
    """Load the model and the engine that answers with it. Raises CheckpointError."""
    checkpoint = load_checkpoint(settings.model, device=settings.device, dtype=settings.dtype, progress=progress)
    template = ChatTemplate(checkpoint.tokenizer.backend_tokenizer)
    limits = EngineLimits(
        slots=settings.slots,
        queue=settings.queue,
        requests_per_session=settings.requests_per_session,
        deadline_seconds=settings.deadline_seconds,
    )
    engine: Engine
    if lender.lends:
        engine = ZeroGPUEngine(lender, checkpoint.model, template, limits, most_seconds=settings.gpu_seconds)
    else:
        engine = ObservedEngine(LocalEngine(checkpoint.model, template, limits), checkpoint.model)
    return ServedModel(engine, template, checkpoint, facts_of(checkpoint.model))
