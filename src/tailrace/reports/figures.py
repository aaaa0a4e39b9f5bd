"""How is a number drawn? Small SVG figures, each with its data in words for those who do not see it.

Colours come from the style sheet by class, so that a figure follows light, dark and print. No figure has a style
attribute or an address: the report's content security policy allows neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from tailrace.reports.view import RunView, SizePoint, StateFlow

_SERIES = 8
FIRST_SEEN = "first seen"


def amount(value: float | None) -> str:
    """Return `1,234`, or `unknown`: the one way a number becomes text."""
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def bar(value: float | None, whole: float | None, css: str = "") -> Markup:
    """Return a bar that shows `value` as a part of `whole`; empty and dashed when either is not known."""
    if value is None or not whole:
        return Markup('<svg class="bar none" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"></svg>')
    width = max(0.0, min(100.0, 100 * value / whole))
    return Markup(
        '<svg class="bar {css}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="8"/><rect class="fill" width="{width:.2f}" height="8"/></svg>'
    ).format(css=css, width=width)


def interval(points: float, low: float, high: float, reach: float, css: str = "") -> Markup:
    """Return a lift with its interval on a line from `-reach` to `reach`, zero in the middle."""
    width, height = 200.0, 18.0
    at = [width / 2 + max(-1.0, min(1.0, value / (reach or 1))) * (width / 2 - 6) for value in (low, points, high)]
    parts = [
        f'<line class="zero" x1="{width / 2}" x2="{width / 2}" y1="1" y2="{height - 1}"/>',
        f'<line class="reach" x1="{at[0]:.1f}" x2="{at[2]:.1f}" y1="{height / 2}" y2="{height / 2}"/>',
        f'<circle class="point" cx="{at[1]:.1f}" cy="{height / 2}" r="3.4"/>',
    ]
    return _figure(f"interval {css}", width, height, f"{points:+.2f} points, between {low:+.2f} and {high:+.2f}", parts)


def sparkline(points: Sequence[SizePoint], name: str) -> Markup:
    """Return a line of sizes over the applied plans; where a size is not known the line has a gap."""
    width, height, pad = 240.0, 56.0, 5.0
    known = [point.size for point in points if point.size is not None]
    if not known:
        return Markup('<p class="figure-empty">No size is known yet.</p>')
    low, high = min(known), max(known)
    step = (width - 2 * pad) / max(1, len(points) - 1)
    # A line that hardly moves is drawn flat: a range below a tenth of the size would make noise look like news.
    span = max(high - low, high * 0.1, 1)
    floor = (high + low) / 2 - span / 2
    runs: list[list[tuple[float, float]]] = [[]]
    for index, point in enumerate(points):
        if point.size is None:
            runs.append([])
            continue
        x = pad + index * step if len(points) > 1 else width / 2
        runs[-1].append((x, height - pad - (point.size - floor) / span * (height - 2 * pad)))
    parts = []
    for run in runs:
        if len(run) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            parts.append(f'<polygon class="area" points="{run[0][0]:.1f},{height} {line} {run[-1][0]:.1f},{height}"/>')
            parts.append(f'<polyline class="line" points="{line}"/>')
        elif run:
            parts.append(f'<circle class="lone" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="1.6"/>')
    if points[-1].size is not None:
        x, y = runs[-1][-1]
        parts.append(f'<circle class="last" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>')
    first = next(point for point in points if point.size is not None)
    words = (
        f"{name}: {amount(first.size)} on {first.as_of:%d %b %Y}, {amount(points[-1].size)} on"
        f" {points[-1].as_of:%d %b %Y}, between {amount(low)} and {amount(high)}"
    )
    return _figure("sparkline", width, height, words, parts)


def history(runs: Sequence[RunView]) -> Markup:
    """Return a bar per applied plan: messages to send, and above them those deferred."""
    width, height, left, base = 700.0, 190.0, 40.0, 164.0
    tallest = max(((run.send or 0) + (run.defer or 0) for run in runs), default=0)
    if not tallest:
        return Markup('<p class="figure-empty">No message has been planned yet.</p>')
    top = _nice(tallest)
    slot = (width - left - 12) / max(len(runs), 12)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = base - share * (base - 12)
        parts.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if float(top * share).is_integer():
            parts.append(f'<text class="tick end" x="{left - 8}" y="{y + 4:.1f}">{int(top * share):,}</text>')
    every = max(1, round(len(runs) / 10))
    for index, run in enumerate(runs):
        x, bar_width = left + index * slot + slot * 0.14, slot * 0.72
        said = f"{run.as_of:%a %d %b}: {amount(run.send)} to send, {amount(run.defer)} deferred"
        parts.append(f"<g><title>{escape(said)}</title>")
        y = base
        for value, css in ((run.send, "s-send"), (run.defer, "s-defer")):
            tall = (value or 0) / top * (base - 12)
            y -= tall
            if tall:
                parts.append(
                    f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{bar_width:.1f}" height="{tall:.1f}"/>'
                )
        if run.send is None:
            parts.append(f'<text class="tick mid warn" x="{x + bar_width / 2:.1f}" y="{base - 6}">?</text>')
        parts.append("</g>")
        # The last run is always named; a tick too close to it would run into its name.
        if index == len(runs) - 1 or (index % every == 0 and len(runs) - 1 - index >= every):
            parts.append(
                f'<text class="tick mid" x="{x + bar_width / 2:.1f}" y="{base + 18}">{run.as_of:%-d %b}</text>'
            )
    total = sum(run.send or 0 for run in runs)
    words = f"Messages to send in {len(runs)} applied plans, {total:,} in all, at most {tallest:,} in one"
    return _figure("history", width, height, words, parts)


def flows(moves: Sequence[StateFlow], states: Sequence[str]) -> Markup:
    """Return ribbons from the states people left (on the left) to those they came to; width is the number of people.

    `states` give order and colour; the same state has one colour on both sides.
    """
    moves = [move for move in moves if move.people > 0]
    if not moves:
        return Markup('<p class="figure-empty">Nobody changed state in this time.</p>')
    named = list(dict.fromkeys([*states, *(move.to_state for move in moves)]))
    named += sorted({move.from_state for move in moves if move.from_state is not None} - set(named))
    sources = [None, *named]
    out = {state: sum(move.people for move in moves if move.from_state == state) for state in sources}
    into = {state: sum(move.people for move in moves if move.to_state == state) for state in named}
    left = [state for state in sources if out[state]]
    right = [state for state in named if into[state]]
    width, gap, node, label = 960.0, 20.0, 12.0, 190.0
    body = 300.0
    scale = body / sum(out.values())
    height = body + gap * max(len(left), len(right)) + 8
    left_at = _stack([out[state] * scale for state in left], gap, height)
    right_at = _stack([into[state] * scale for state in right], gap, height)
    x0, x1 = label + node, width - label - node
    cursor_out = dict(zip(left, left_at, strict=True))
    cursor_in = dict(zip(right, right_at, strict=True))
    parts = []
    ordered = sorted(moves, key=lambda move: (sources.index(move.from_state), named.index(move.to_state)))
    for move in ordered:
        thick = move.people * scale
        a, b = cursor_out[move.from_state], cursor_in[move.to_state]
        cursor_out[move.from_state] += thick
        cursor_in[move.to_state] += thick
        middle = (x0 + x1) / 2
        said = f"{_words(move.from_state)} → {_words(move.to_state)}: {amount(move.people)}"
        parts.append(
            f'<path class="ribbon {_colour(move.from_state, named)}" d="M{x0:.1f} {a:.1f}'
            f"C{middle:.1f} {a:.1f} {middle:.1f} {b:.1f} {x1:.1f} {b:.1f}V{b + thick:.1f}"
            f'C{middle:.1f} {b + thick:.1f} {middle:.1f} {a + thick:.1f} {x0:.1f} {a + thick:.1f}Z">'
            f"<title>{escape(said)}</title></path>"
        )
    for state, y in zip(left, left_at, strict=True):
        parts.append(_node(state, named, label, y, out[state] * scale, label - 10, "end", out[state]))
    for state, y in zip(right, right_at, strict=True):
        parts.append(_node(state, named, x1, y, into[state] * scale, x1 + node + 10, "start", into[state]))
    words = f"Moves between states, {amount(sum(out.values()))} in all; the table below has every number"
    return _figure("flows", width, height, words, parts)


def colour(index: int) -> str:
    """Return the class of the `index`th series."""
    return f"c{index % _SERIES}"


def _colour(state: str | None, named: Sequence[str]) -> str:
    return "c-new" if state is None else colour(named.index(state))


def _words(state: str | None) -> str:
    return FIRST_SEEN if state is None else state.replace("_", " ")


def _node(
    state: str | None, named: Sequence[str], x: float, y: float, tall: float, text_x: float, anchor: str, people: int
) -> str:
    return (
        f'<rect class="node {_colour(state, named)}" x="{x:.1f}" y="{y:.1f}" width="12"'
        f' height="{max(tall, 1.5):.1f}" rx="2"/>'
        f'<text class="state {anchor}" x="{text_x:.1f}" y="{y + tall / 2 + 4:.1f}">{escape(_words(state))}'
        f' <tspan class="count">{amount(people)}</tspan></text>'
    )


def _stack(sizes: Sequence[float], gap: float, height: float) -> list[float]:
    """Return the upper edges of a column of nodes, centred."""
    used = sum(sizes) + gap * (len(sizes) - 1)
    y, edges = (height - used) / 2, []
    for size in sizes:
        edges.append(y)
        y += size + gap
    return edges


def _nice(value: int) -> int:
    """Return the smallest round number that is not below `value`."""
    power = 1
    while True:
        for factor in (1, 2, 4, 6, 8, 10):
            if factor * power >= value:
                return factor * power
        power *= 10


def _figure(css: str, width: float, height: float, words: str, parts: Sequence[str]) -> Markup:
    """Return the SVG. Every part is made of numbers and of text that was escaped when it was put in."""
    return Markup('<svg class="{}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        css,
        width,
        height,
        words,
        Markup("".join(parts)),  # noqa: S704
    )
