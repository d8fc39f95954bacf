"""How an answer takes shape over depth: the logit lens, the shares of the stream, the neurons. Values in, HTML out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanochat.lens.layers import LensRow, Shares
from nanochat.lens.neurons import Firing
from nanochat.ui.inspector_tokens import code, percent, table_html
from nanochat.ui.shapes import box, line, svg, words

WIDTH = 340.0


def lens_html(rows: Sequence[LensRow], decided_after: int | None, name: Callable[[int], str]) -> str:
    """Return the lens as a table: a row for each layer, its five best guesses, and the rank of the chosen token."""
    body = "".join(_lens_row(row, decided_after, name) for row in rows)
    heads = ["Layer", "Rank", *("Best guess" if number == 1 else f"{number}." for number in range(1, 6))]
    note = (
        '<p class="inside-note">The model speaks after its last layer. Asked after each layer (the logit lens), it '
        f"shows how the choice takes shape; 0 is the embedding. {_decision(rows, decided_after)}</p>"
    )
    return note + table_html("Logit lens", heads, body, "lens")


def shares_html(shares: Sequence[Shares]) -> str:
    """Return a bar for each layer: what it started from, what attention added, what the MLP added."""
    pitch = min(22.0, max(9.0, 240 / len(shares)))
    left, full = 30.0, WIDTH - 40
    elements = []
    for x, name, style in ((left, "stream before", "before"), (150.0, "attention", "attention"), (250.0, "MLP", "mlp")):
        elements += [box(x, 4, 8, 8, f"share-{style}", 1), words(x + 13, 8, name, "small")]
    for row, share in enumerate(shares):
        y = 20 + pitch * row
        parts = [max(0.0, part) for part in (share.before, share.attention, share.mlp)]
        total = sum(parts) or 1.0
        x = left
        for part, style in zip(parts, ("share-before", "share-attention", "share-mlp"), strict=True):
            elements.append(box(x, y, full * part / total, pitch * 0.75, style, 1))
            x += full * part / total
        elements.append(words(left - 6, y + pitch * 0.4, str(share.layer), "tiny", "end"))
    picture = svg(WIDTH, 24 + pitch * len(shares), "Who moved the stream", _told(shares), elements)
    return (
        "<h3>Who moved the stream</h3>"
        '<p class="inside-note">Each layer adds to what came before: how much of the result is whose.</p>' + picture
    )


def firings_html(firings: Sequence[Firing], name: Callable[[int], str]) -> str:
    """Return for each layer how many neurons are exactly zero, and the words that the strongest push up."""
    rows = []
    for firing in firings:
        rest = firing.zeros / firing.neurons
        said = "".join(
            f"<li>neuron {neuron.index}, {neuron.activation:.3g}: "
            + " ".join(f"{code(name(token_id))}" for token_id in neuron.pushes_up)
            + "</li>"
            for neuron in firing.strongest
        )
        bar = f'<span class="bar" style="width:{100 * rest:.1f}%"></span>'
        rows.append(
            f'<tr><th scope="row">{firing.layer}</th><td>{bar}{firing.zeros:,} of {firing.neurons:,} '
            f"({percent(rest)})</td><td><ul>{said or '<li>none</li>'}</ul></td></tr>"
        )
    return (
        '<p class="inside-note">relu² turns whatever is negative into exactly zero, so most neurons stay silent; one '
        "that fires makes some words more likely, whatever the text.</p>"
        + table_html("Neurons", ["Layer", "Exactly zero", "Fires most, and pushes up"], "".join(rows), "neurons")
    )


def ranks_html(rows: Sequence[LensRow], vocabulary: int) -> str:
    """Return the rank of the chosen token over depth as a falling line, rank 1 at the bottom, in steps of ten."""
    from_left, height = 34.0, 84.0
    pitch = (WIDTH - from_left - 14) / max(1, len(rows) - 1)
    decades = max(1, len(str(vocabulary)) - 1)
    points = [
        (from_left + pitch * place, 14 + height - height * min(1.0, _decades(row.rank) / decades))
        for place, row in enumerate(rows)
    ]
    scale = [words(from_left - 8, 14 + height - height * step / decades, f"{10**step:,}", "tiny", "end")
             for step in range(decades + 1)]  # fmt: skip
    told = "; ".join(f"after {row.layer} layers rank {row.rank}" for row in rows)
    ends = [words(points[0][0], height + 26, "embedding", "tiny"),
            words(points[-1][0], height + 26, f"layer {rows[-1].layer}", "tiny", "end")]  # fmt: skip
    picture = svg(WIDTH, height + 32, "Rank of this token by layer", told, [*scale, *ends, line(points, "curve")])
    return f"<h3>Rank of this token by layer</h3>{picture}"


def _decades(rank: int) -> float:
    whole = len(str(rank)) - 1
    size: int = 10**whole
    return whole + (rank / size - 1) / 9


def _lens_row(row: LensRow, decided_after: int | None, name: Callable[[int], str]) -> str:
    guesses = "".join(
        f'<td title="{percent(guess.probability)}">{code(name(guess.id))}'
        f"<small>{percent(guess.probability)}</small></td>"
        for guess in row.best
    )
    state = ' class="decided"' if decided_after is not None and row.layer >= decided_after else ""
    return f'<tr{state}><th scope="row">{row.layer}</th><td>{row.rank:,}</td>{guesses}</tr>'


def _decision(rows: Sequence[LensRow], decided_after: int | None) -> str:
    if decided_after is None:
        return f"Never the best guess: at the end it stands at rank {rows[-1].rank:,}."
    if decided_after == 0:
        return "Decided from the start: the embedding alone has it as the best guess."
    return f"Decided after layer {decided_after} of {len(rows) - 1}: from there on it is the best guess."


def _told(shares: Sequence[Shares]) -> str:
    return "; ".join(
        f"layer {share.layer}: before {share.before:.0%}, attention {share.attention:.0%}, MLP {share.mlp:.0%}"
        for share in shares
    )
