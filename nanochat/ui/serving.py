"""From settings to models that answer: checkpoint, template, and the engine that this machine calls for.

On ZeroGPU a GPU is lent for each answer; everywhere else the model answers in this process, and can be looked into.
ZeroGPU takes one model only: all weights that are loaded at launch go to the GPU with each cold start, whether they
answer or not, and the visitor pays for the seconds.
"""

from __future__ import annotations

from functools import partial

from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.chat.zerogpu import GPULender, ZeroGPUEngine
from nanochat.errors import SettingsError
from nanochat.lens.observed import ObservedEngine
from nanochat.model.checkpoint import Progress, load_checkpoint
from nanochat.model.facts import facts_of
from nanochat.model.packing import pack
from nanochat.settings import Settings
from nanochat.ui.models import MakeRoom, Models
from nanochat.ui.served import ServedModel


def offered(settings: Settings, lender: GPULender) -> Models[ServedModel]:
    """Return the models that the settings name, none loaded yet. Raises SettingsError for several on ZeroGPU."""
    choices = settings.choices
    if lender.lends and len(choices) > 1:
        raise SettingsError(
            f"NANOCHAT_MODELS offers {len(choices)} models, but ZeroGPU takes one only: "
            "name it in NANOCHAT_MODEL, and leave NANOCHAT_MODELS out."
        )
    loads = {choice.name: partial(serve, settings, choice.source, lender) for choice in choices}
    return Models(loads, settings.models_gigabytes * 1e9 if len(choices) > 1 else None)


def serve(settings: Settings, source: str, lender: GPULender, progress: Progress, make_room: MakeRoom) -> ServedModel:
    """Load a model and the engine that answers with it. Raises CheckpointError."""
    checkpoint = load_checkpoint(
        source,
        device=settings.device,
        dtype=settings.dtype,
        quantize=settings.quantize,
        progress=progress,
        make_room=make_room,
    )
    template = ChatTemplate(checkpoint.tokenizer.backend_tokenizer)
    # A compiler orders matrices itself, and cannot see into those that are packed.
    if not settings.compile:
        pack(checkpoint.model)
    facts = facts_of(checkpoint.model)
    limits = EngineLimits(
        slots=settings.slots,
        queue=settings.queue,
        requests_per_session=settings.requests_per_session,
        deadline_seconds=settings.deadline_seconds,
    )
    if lender.lends:
        lent = ZeroGPUEngine(lender, checkpoint.model, template, limits, most_seconds=settings.gpu_seconds)
        return ServedModel(lent, template, checkpoint, facts)
    engine = LocalEngine(checkpoint.model, template, limits, stepping=settings.stepping)
    served = ServedModel(
        ObservedEngine(engine, checkpoint.model), template, checkpoint, facts, cache_bytes=engine.cache.size_bytes
    )
    make_room(served.size_bytes)
    return served
