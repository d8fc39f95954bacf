"""The Space: settings, then model, engine and page, then the server. `python app.py` runs it."""

from __future__ import annotations

import sys

import torch

from nanochat.chat.zerogpu import GPULender
from nanochat.errors import SettingsError
from nanochat.model.threads import take_short_turns
from nanochat.settings import Settings, use_huge_pages
from nanochat.ui.page import build, launch_options
from nanochat.ui.serving import offered


def main() -> None:
    use_huge_pages()
    take_short_turns()
    settings = Settings.from_environment()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    lender = GPULender()
    models = offered(settings, lender)
    # ZeroGPU finds the weights of its workers in the main thread, before the launch.
    (models.load_here if lender.lends else models.start)()
    page = build(models).queue(max_size=settings.slots + settings.queue, api_open=False)
    page.launch(**launch_options())


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        # The sentence names the variable and what it may be: a traceback would bury it.
        sys.exit(str(error))
