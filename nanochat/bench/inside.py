"""What the view inside costs: the capture of every token's logits, and one click on a token of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType

from nanochat.bench.pairs import in_turns
from nanochat.bench.questions import question
from nanochat.bench.sides import OurSide
from nanochat.bench.table import Row, alone, compared
from nanochat.bench.trial import Trial
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BenchError
from nanochat.lens.observed import ObservedEngine
from nanochat.ui.inspector_views import Selection, choices_view, panels

# Capture may cost 5 % of the speed.
CAPTURE_GOAL = 0.95
CLICK_GOALS_SECONDS: Mapping[str, float] = MappingProxyType({"embedded": 0.3, "d20": 5.0})
# A text to click into: as long as a question with an answer of some paragraphs.
READ_TOKENS = 200
SESSION = "bench"


@dataclass(frozen=True, slots=True)
class Clicks:
    """Seconds from a click to its drawings: the first into an answer, which the model reads again, and the next."""

    first: float
    next: float


def inside_rows(trial: Trial) -> list[Row]:
    """Measure the model as it is loaded, observed and not, then click into what was observed."""
    one, tokens = trial.first, trial.shape.answer_tokens
    template, observed = one.subject.template, ObservedEngine(one.engine, one.subject.model)
    sides = {"unobserved": OurSide(one.engine), "observed": OurSide(observed, SESSION)}

    def speed(name: str, number: int) -> float:
        return sides[name].answer(question(template, number), tokens).tokens_per_second

    contenders = {name: lambda number, name=name: speed(name, number) for name in sides}
    speeds = in_turns(contenders, trial.rounds, trial.progress)
    clicks = in_turns({"clicks": lambda number: _clicks(observed, template, number)}, trial.rounds, trial.progress)
    return [
        compared(
            (one.subject.name, f"observed answer of {tokens} tokens", "tok/s"),
            speeds["observed"],
            "ours, unobserved",
            speeds["unobserved"],
            least_ratio=CAPTURE_GOAL,
        ),
        *rows_of_clicks(trial.shape.name, one.subject.name, clicks["clicks"]),
    ]


def rows_of_clicks(shape: str, name: str, clicks: Sequence[Clicks]) -> list[Row]:
    """Return a row for the first click into an answer, which has the goal, and one for the next."""
    figure, goal = f"click into {READ_TOKENS} tokens", CLICK_GOALS_SECONDS.get(shape)
    return [
        alone((name, f"first {figure}", "s"), [click.first for click in clicks], most=goal),
        alone((name, f"next {figure}", "s"), [click.next for click in clicks], most=goal),
    ]


def _clicks(observed: ObservedEngine, template: ChatTemplate, number: int) -> Clicks:
    # Another question than those whose speed was measured, so that the model has to read it.
    OurSide(observed, SESSION).answer(question(template, 500 + number, READ_TOKENS), 2)
    return Clicks(_click(observed, template, 0), _click(observed, template, 1))


def _click(observed: ObservedEngine, template: ChatTemplate, place: int) -> float:
    """Draw everything that the page draws for a click on this token of the latest answer."""
    seen = observed.latest(SESSION)
    if seen is None:
        raise BenchError("The answer to click into was not kept.")
    started = perf_counter()
    chosen = Selection(seen, len(seen.prompt_ids) + place)
    panels(chosen, observed.lens, template)
    choices_view(chosen, observed.lens, template)
    return perf_counter() - started
