"""The numbers under an answer: a line for everybody, and behind it the whole account."""

from __future__ import annotations

from nanochat.chat.events import Done, GPUWait, PrefillProgress, Queued
from nanochat.ui.reply import Reply

# A word that comes and goes within half a second is a flicker, not news.
FELT_SECONDS = 0.5

ENDINGS = ("finished", "cut: out of time", "cut: max tokens", "cut: context full", "stopped")


def headline(reply: Reply) -> str:
    """Return one line: tokens, speed, time to the first token, why it ended, the seed, the share of the context."""
    words = [_count(_tokens(reply), "token")]
    speed = _tokens_per_second(reply)
    if speed is not None:
        words.append(f"{speed:,.0f} tok/s" if speed >= 10 else f"{speed:.1f} tok/s")
    waited = _first_token_seconds(reply)
    if waited is not None:
        words.append(f"first after {_seconds(waited)}")
    if reply.done:
        words.append(ending(reply.done))
    if reply.given:
        words.append("continued" if reply.origin == "model" else "begun with your words")
    if reply.started:
        words.append(f"seed {reply.started.seed}")
        if reply.started.dropped_turns:
            words.append(f"oldest {_count(reply.started.dropped_turns, 'turn')} left out")
    return " · ".join(words) + _meter(reply)


def ending(done: Done) -> str:
    """Say why an answer ended."""
    if done.finish_reason == "length" and done.context_tokens >= done.context_limit:
        return "cut: context full"
    return {"stop": "finished", "deadline": "cut: out of time", "length": "cut: max tokens"}[done.finish_reason]


def details(reply: Reply) -> str:
    """Return the account as a Markdown list: what was read, what was written, and how to have it again."""
    lines = []
    if reply.started:
        read, reused = len(reply.started.prompt_ids), reply.started.reused_tokens
        lines.append(
            f"Prompt: {_count(read, 'token')}, of which {reused:,} had been read before and were not read again."
        )
        if reply.started.dropped_turns:
            turns = _count(reply.started.dropped_turns, "turn")
            lines.append(f"The oldest {turns} did not fit any more: the model answered without having read them.")
    if reply.given:
        there = f"The first {_count(reply.given, 'token')} of the answer"
        lines.append(
            f"{there} {'were there before' if reply.origin == 'model' else 'are your words'}: it goes on from them."
        )
    if reply.done:
        done = reply.done
        lines.append(f"Read in {_seconds(done.prefill_seconds)}, written in {_seconds(done.decode_seconds)}.")
        lines.append(f"Context: {done.context_tokens:,} of {done.context_limit:,} tokens are in use.")
    if reply.gpu_used:
        used, estimated = reply.gpu_used.used_seconds, reply.gpu_used.estimated_seconds
        lines.append(f"GPU: {_seconds(used)} used, {_seconds(estimated)} asked for.")
    if reply.started:
        lines.append(f"Seed {reply.started.seed}: with it, the same chat and the same settings give the same answer.")
    return "\n".join(f"- {line}" for line in lines)


def waiting_words(reply: Reply) -> str | None:
    """Say what a reply waits for once the wait is long enough to be felt; None when there is nothing to say."""
    waited = (reply.latest_at or reply.asked_at) - reply.asked_at
    if reply.waiting is None or waited < FELT_SECONDS:
        return None
    match reply.waiting:
        case Queued(position=position):
            return "Waiting for a free place: yours is next" if position == 1 else f"Waiting: {position - 1} before you"
        case GPUWait(estimated_seconds=seconds):
            return f"Waiting for a GPU, asked for {seconds:.0f} s"
        case PrefillProgress(done_tokens=done, total_tokens=total):
            return f"Reading: {done:,} of {total:,} tokens"


def _meter(reply: Reply) -> str:
    """Draw the share of the context as HTML's own gauge, which a screen reader reads too."""
    if not reply.done:
        return ""
    used, limit = reply.done.context_tokens, reply.done.context_limit
    label = f"{used:,} of {limit:,} tokens of context in use"
    return (
        f' · <span class="context" title="{label}">context '
        f'<meter min="0" max="{limit}" value="{used}" aria-label="{label}">{used / limit:.0%}</meter></span>'
    )


def _tokens(reply: Reply) -> int:
    return reply.done.completion_tokens if reply.done else len(reply.ids) - reply.given


def _tokens_per_second(reply: Reply) -> float | None:
    """Speed of writing alone: the first token's wait is told apart, so it is not counted here."""
    if reply.first_token_at is None or reply.latest_at is None:
        return None
    seconds = reply.done.decode_seconds if reply.done else reply.latest_at - reply.first_token_at
    steps = _tokens(reply) - 1
    return steps / seconds if steps > 0 and seconds > 0 else None


def _first_token_seconds(reply: Reply) -> float | None:
    if reply.done:
        return reply.done.time_to_first_token_seconds
    return None if reply.first_token_at is None else reply.first_token_at - reply.asked_at


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
