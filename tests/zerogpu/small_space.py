"""The smallest Space around the engine: one endpoint that streams the events of an answer as JSON.

The model is the folder in NANOCHAT_MODEL, as for the real page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

import gradio as gr
from tokenizers import Tokenizer

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import EngineLimits
from nanochat.chat.gpu_seconds import Speed
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.chat.zerogpu import GPULender, ZeroGPUEngine
from nanochat.errors import NanoChatError

MOST_SECONDS = 20

folder = os.environ["NANOCHAT_MODEL"]
engine = ZeroGPUEngine(
    GPULender(),
    NanoChatForCausalLM.from_pretrained(folder).eval().to("cuda"),
    ChatTemplate(Tokenizer.from_file(f"{folder}/tokenizer.json")),
    EngineLimits(),
    most_seconds=MOST_SECONDS,
)


def events(messages: list[dict[str, str]], settings: dict[str, object], speed: list[float]) -> Iterator[str]:
    """Yield each event as a JSON object with its kind; an error of ours becomes the message of a gr.Error.

    `speed` overrides what the engine has learned, when it is not empty.
    """
    if speed:
        engine.speed = Speed(*speed)
    try:
        for event in engine.stream(Conversation.from_messages(messages), SamplingSettings(**settings)):
            yield json.dumps({"kind": type(event).__name__, **asdict(event)})
    except NanoChatError as error:
        raise gr.Error(json.dumps({"kind": type(error).__name__, "text": str(error)})) from error


with gr.Blocks() as space:
    inputs, shown = [gr.JSON(), gr.JSON(), gr.JSON()], gr.Textbox()
    gr.Button().click(events, inputs, shown, api_name="events", concurrency_limit=8)

if __name__ == "__main__":
    space.queue(max_size=32).launch(show_error=True, ssr_mode=False)
