"""What does a message need of a person, and is anything wrong with it? Known from its file, before anybody gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateSyntaxError

from tailrace.campaigns import markup
from tailrace.campaigns.definition import ROOTS, Message, RenderError
from tailrace.campaigns.render import Renderer, assemble
from tailrace.campaigns.usage import LAYOUT_NAMES, STANDING, Field, Usage, usage
from tailrace.errors import Problem

LAYOUTS = "campaigns/_layout"
_UNSUBSCRIBE = "unsubscribe_url"
_PERSON: Field = ("customer", "person_id")


@dataclass(frozen=True)
class Analysis:
    """All that is known of a message: fields, where each is named first (path, line), problems.

    `offers_unsubscribe` is true when both the HTML and the text part show the link.
    """

    required: frozenset[Field]
    optional: frozenset[Field]
    places: Mapping[Field, tuple[str, int]]
    kinds: Mapping[Field, str]
    offers_unsubscribe: bool
    problems: tuple[Problem, ...]


def required_fields(message: Message) -> frozenset[Field]:
    """Return the fields without which the message is not sent, such as ("customer", "first_name")."""
    return analyse(message).required


def optional_fields(message: Message) -> frozenset[Field]:
    """Return the fields that the message uses but can do without (`default`, or inside an `if` that asks for it)."""
    return analyse(message).optional


def analyse(message: Message) -> Analysis:
    """Return what the message with its layout uses, and every problem of its templates."""
    page, text = f"{LAYOUTS}/{message.layout}.html", f"{LAYOUTS}/{message.layout}.txt"
    parts = [
        (message.path, message.subject_line, usage(message.subject, ()), "subject"),
        (message.path, message.preheader_line, usage(message.preheader, ()), "preheader"),
        (message.path, message.body_line, usage(message.body), "body"),
        (page, 1, usage(message.layout_html, (*STANDING, *LAYOUT_NAMES)), "layout"),
        (text, 1, usage(message.layout_text, (*STANDING, *LAYOUT_NAMES)), "layout"),
    ]
    whole = Usage()
    places: dict[Field, tuple[str, int]] = {}
    problems: list[Problem] = []
    for path, line, used, part in parts:
        problems += [Problem(path, at + line - 1, message) for at, message in used.problems]
        problems += [Problem(path, line, problem) for problem in _missing(used, part, message)]
        for field, at in used.lines.items():
            places.setdefault(field, (path, at + line - 1))
        whole.add(used)
    body, html_layout, text_layout = (parts[number][2].names for number in (2, 3, 4))
    if _UNSUBSCRIBE in whole.names:
        whole.required.add(_PERSON)
        whole.optional.discard(_PERSON)
        places.setdefault(_PERSON, (message.path, message.body_line))
    if not problems:
        problems = _markup_problems(message, page)
    return Analysis(
        required=frozenset(whole.required),
        optional=frozenset(whole.optional),
        places=places,
        kinds=whole.kinds,
        offers_unsubscribe=_UNSUBSCRIBE in body or (_UNSUBSCRIBE in html_layout and _UNSUBSCRIBE in text_layout),
        problems=tuple(sorted(set(problems), key=lambda problem: problem.place)),
    )


def _missing(used: Usage, part: str, message: Message) -> list[str]:
    problems = [
        f"`{name}` is not set in policy.yml; set it there, or do not print it"
        for name in sorted(used.names & set(STANDING))
        if not message.standing.get(name)
    ]
    if part == "layout" and "body" not in used.names:
        problems.append("the layout does not print `{{ body }}`; put it where the message belongs")
    return problems


def _markup_problems(message: Message, page: str) -> list[Problem]:
    try:
        made = assemble(message.source())
        layout = markup.compile_body(message.layout_html, "html", {}, whole_document=True)
    except TemplateSyntaxError as error:
        return [Problem(message.path, message.body_line, f"the template cannot be read: {error.message}")]
    problems = [Problem(message.path, line + message.body_line - 1, finding) for line, finding in made.findings]
    problems += [Problem(page, line, finding) for line, finding in layout.findings]
    if problems:
        return problems
    # The Markdown may move an `{% if %}` to where it no longer fits; what comes out must be a template still.
    wrong = [found for part in (made.html, made.text) for _, found in usage(part, is_compiled=True).problems]
    return [Problem(message.path, message.body_line, f"once it is HTML: {problem}") for problem in dict.fromkeys(wrong)]


class _SampleRow(dict[str, Any]):
    """An element of a list that has every field."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the sample, whatever the field."""
        return self.value


_SAMPLES: tuple[Any, ...] = ("https://example.com/sample", 7, "2026-01-31")
_BY_KIND: dict[str, Any] = {"number": 7, "date": "2026-01-31"}


def rehearse(message: Message, found: Analysis) -> RenderError | None:
    """Render the message for made-up people, one with all fields and one with only those it needs.

    Return None when both get it, else the error. What type a field has is guessed from its use; a message passes
    when some guess works.
    """
    for fields in (found.required | found.optional, found.required):
        errors = [_try(message, _person(fields, found.kinds, sample)) for sample in _SAMPLES]
        if all(errors):
            return errors[0]
    return None


def _person(fields: frozenset[Field], kinds: Mapping[Field, str], sample: Any) -> dict[str, Any]:
    data: dict[str, dict[str, Any]] = {root: {} for root in ROOTS}
    made = {**_BY_KIND, "list": [sample, sample], "rows": [_SampleRow(sample), _SampleRow(sample)]}
    for root, name in fields:
        data[root][name] = made.get(kinds.get((root, name), ""), sample)
    return data


def _try(message: Message, data: Mapping[str, Any]) -> RenderError | None:
    try:
        Renderer().render(message.source(), data, message_key=message.message_key)
    except RenderError as error:
        return error
    return None
