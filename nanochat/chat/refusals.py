"""What ZeroGPU says when it lends no GPU, in words that help the person in front of the page.

`spaces` refuses with a title and a message, both written for somebody who knows how ZeroGPU works. Each kind of refusal
becomes an error of ours whose sentence says what happened and what can be done about it.

Source: spaces 0.51.3, zero/client.py (schedule) and zero/wrappers.py.
"""

from __future__ import annotations

import re

from nanochat.errors import GPUBusyError, GPUError, GPULostError, GPUQuotaError


def explained(title: str, message: str, seconds: int) -> GPUError:
    """Put a refusal of ZeroGPU, known by its title and message, into words that say what the visitor can do."""
    for kind, titles, pattern, words in _REFUSALS:
        found = re.search(pattern, message)
        if found and re.fullmatch(titles, title):
            numbers = {name: number for name, number in found.groupdict().items() if number}
            return kind(words.format(seconds=seconds, **numbers))
    return GPUError(f"ZeroGPU did not take this request: {message}")


# Titles and messages as spaces 0.51.3 writes them, the first that fits; {…} are numbers from the pattern.
_REFUSALS: tuple[tuple[type[GPUError], str, str, str], ...] = (
    (
        GPUQuotaError,
        "ZeroGPU quota exceeded",
        r"quota \((?P<requested>\d+)s requested vs\. (?P<left>-?\d+)s left\)\. Try again in (?P<wait>[^.]+)",
        "Your GPU time on ZeroGPU does not last for this answer: it asks for {requested} s and you have {left} s left. "
        "Ask for fewer tokens, or try again in {wait}. Signed in to Hugging Face you have more.",
    ),
    (
        GPUQuotaError,
        "ZeroGPU quota exceeded",
        "runs limit",
        "You have used the GPU as often as ZeroGPU allows for now: try again later. "
        "Signed in to Hugging Face you have more.",
    ),
    (
        GPUQuotaError,
        "ZeroGPU quota exceeded",
        "Space app has reached",
        "This Space has used up its GPU time for requests that name no visitor. "
        "Open it on huggingface.co or send your Hugging Face token, and try again.",
    ),
    (
        GPUQuotaError,
        "ZeroGPU pending credits exceeded",
        "",
        "Too much of your GPU time is set aside for answers that still run: try again when one of them is done.",
    ),
    (
        GPUQuotaError,
        "ZeroGPU illegal duration",
        "",
        "This answer asks for {seconds} GPU seconds, more than ZeroGPU lends at once: ask for fewer tokens.",
    ),
    (
        GPUBusyError,
        "ZeroGPU queue timeout|ZeroGPU quota exceeded|ZeroGPU client error",
        "No GPU was available",
        "Many visitors want a GPU and none became free: try again in a minute.",
    ),
    (
        GPUError,
        "ZeroGPU client error",
        "Expired",
        "Your pass for the GPU has expired: reload the page and send the message again.",
    ),
    (
        GPULostError,
        "ZeroGPU worker error",
        "GPU task aborted",
        "The GPU was taken back before the answer was complete, at the latest after the {seconds} s it was asked for. "
        "Try again, with fewer tokens if it happens twice.",
    ),
    (
        GPULostError,
        "ZeroGPU worker error",
        r"^(?P<error>\w+)$",
        "The model stopped with an internal error ({error}): try again, and start a new chat if it happens twice.",
    ),
)
