"""How does a report become one HTML file that needs nothing else? Rendered, sealed by its policy, written at once."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from tailrace import durable
from tailrace.planning.verdict import IN_WORDS
from tailrace.reports import figures
from tailrace.reports.attention import balances, lines_of, notes, shown
from tailrace.reports.measured import TITLES, ComparisonView, finding, mismatch_in_words
from tailrace.reports.view import ReportView, StatesView
from tailrace.settings import Settings

OUTCOMES = {
    "accepted": "accepted by the destination",
    "waiting": "not tried yet",
    "retry_later": "will be tried again",
    "unknown": "may or may not have arrived",
    "rejected": "refused by the destination",
    "blocked": "held back by the interlock",
    "expired": "too late when its turn came",
    "cancelled": "withdrawn before it was tried",
}
"""The order in which outcomes are printed, and what each means; one that is not here is printed after them."""


def write_report(settings: Settings, view: ReportView) -> Path:
    """Write the report as `reports/<plan id>.html`, and the same bytes as `reports/latest.html`; return the first.

    The file has no address in it that a browser would follow by itself, no script, and no personal data.
    """
    path = settings.reports / f"{view.plan.plan_id}.html"
    content = render(view).encode()
    durable.write(path, content)
    durable.write(settings.reports / "latest.html", content)
    return path


def render(view: ReportView) -> str:
    """Return the report's HTML: the same view, the same text."""
    css = _file("report.css")
    return _template().render(
        view=view,
        css=Markup(css),  # noqa: S704 (our own file)
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        notes=notes(view),
        balance=balances(view)[0],
        outcomes=_in_order(view.outcomes),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "bar": figures.bar,
        "colour": figures.colour,
        "flows": figures.flows,
        "finding": finding,
        "history": figures.history,
        "interval": figures.interval,
        "mismatch_in_words": mismatch_in_words,
        "reach": _reach,
        "lines_of": lines_of,
        "meaning": OUTCOMES,
        "shown": shown,
        "sparkline": figures.sparkline,
        "state_table": _state_table,
        "titles": TITLES,
    }
    environment.filters |= {
        "points": _points,
        "because": _because,
        "breakable": _breakable,
        "day": _day,
        "in_order": _in_order,
        "moment": _moment,
        "n": _number,
        "rate": _rate,
        "said": _said,
    }
    return environment.get_template("report.html")


def _file(name: str) -> str:
    return resources.files("tailrace.reports").joinpath(name).read_text(encoding="utf-8")


def _number(value: float | None) -> str | Markup:
    if value is None:
        return Markup('<span class="unknown">unknown</span>')
    return figures.amount(value)


def _rate(part: int | None, whole: int | None) -> str | Markup:
    """Return `12.5 %`; a dash when there is nothing to divide by."""
    if part is None or whole is None:
        return _number(None)
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _reach(comparison: ComparisonView) -> float:
    """Return how far from zero the intervals of the comparison go, in points."""
    return max((abs(end) for arm in comparison.arms for end in (arm.low, arm.high) if end is not None), default=0.0)


def _points(value: float) -> str:
    """Return `+1.20` with a real minus sign."""
    return f"{value:+.2f}".replace("-", "−")


def _because(reason: str) -> str:
    """Return what a verdict's reason means: `missing_field:plan` → `lacks a field that the message needs: plan`."""
    code, _, detail = reason.partition(":")
    words = {str(known): text for known, text in IN_WORDS.items()}.get(code, code.replace("_", " "))
    return f"{words}: {detail}" if detail else words


def _said(word: str) -> str:
    """Return a word of a vocabulary as people say it: `missing_field:first_name` → `missing field: first_name`."""
    code, separator, detail = word.partition(":")
    return code.replace("_", " ") + (f": {detail.strip()}" if separator else "")


def _breakable(name: str) -> Markup:
    """Return the name of a definition, which may be broken after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _moment(value: datetime | None) -> str:
    return "never" if value is None else f"{value.astimezone(UTC):%a %-d %b %Y, %H:%M} UTC"


def _day(value: date) -> str:
    return f"{value:%-d %b %Y}"


def _in_order(outcomes: dict[str, int] | None) -> list[tuple[str, int]] | None:
    """Return outcomes in the order of OUTCOMES, then those that it does not name."""
    if outcomes is None:
        return None
    known = [(word, outcomes[word]) for word in OUTCOMES if word in outcomes]
    return known + sorted((word, count) for word, count in outcomes.items() if word not in OUTCOMES)


def _state_table(states: StatesView) -> list[tuple[str | None, dict[str, tuple[int, int]]]]:
    """Return rows (from state, {to state: (people, heat from 0 to 9)}), in the order of the states."""
    moves: dict[tuple[str | None, str], int] = {}
    for move in states.flows:
        moves[move.from_state, move.to_state] = moves.get((move.from_state, move.to_state), 0) + move.people
    hottest = max(moves.values(), default=0)
    order: list[str | None] = [None, *(size.state for size in states.sizes)]
    order += sorted({state for pair in moves for state in pair if state is not None} - set(order))
    return [
        (
            source,
            {
                target: (moves.get((source, target), 0), _heat(moves.get((source, target), 0), hottest))
                for target in order
                if target is not None
            },
        )
        for source in order
        if source is not None or any(pair[0] is None for pair in moves)
    ]


def _heat(people: int, hottest: int) -> int:
    # The root: one large flow would make all others look like none.
    return 0 if not people else 1 + round(8 * (people / hottest) ** 0.5)
