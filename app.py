"""The Space: settings, then model, engine and page, then the server. `python app.py` runs it."""

from __future__ import annotations

import torch

from nanochat.chat.engine import Engine, EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.chat.zerogpu import GPULender, ZeroGPUEngine
from nanochat.lens.observed import ObservedEngine
from nanochat.model.checkpoint import Progress, load_checkpoint
from nanochat.model.facts import facts_of
from nanochat.settings import Settings
from nanochat.ui.loading import ModelLoader
from nanochat.ui.page import build, launch_options
from nanochat.ui.served import ServedModel


def serve(settings: Settings, lender: GPULender, progress: Progress) -> ServedModel:
    """Load the model and the engine that answers with it."""
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


def main() -> None:
    settings = Settings.from_environment()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    lender = GPULender()
    loader = ModelLoader(lambda progress: serve(settings, lender, progress))
    # ZeroGPU finds the weights of its workers in the main thread, before the launch.
    (loader.load_here if lender.lends else loader.start)()
    page = build(loader).queue(max_size=settings.slots + settings.queue, api_open=False)
    page.launch(**launch_options())


if __name__ == "__main__":
    main()
