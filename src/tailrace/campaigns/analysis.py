"""What does a message need of a person, and is anything wrong with it? Known from its file, before anybody gets it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateSyntaxError

from tailrace.campaigns import callsheet, sandbox
from tailrace.campaigns.assembly import Assembled, assemble
from tailrace.campaigns.definition import ROOTS, Message, RenderError
from tailrace.campaigns.render import Renderer
from tailrace.campaigns.usage import LAYOUT_NAMES, SNIPPETS, STANDING, Field, Need, Path, Usage, usage
from tailrace.errors import Problem

LAYOUTS = "campaigns/_layout"


@dataclass(frozen=True)
class Analysis:
    """All that is known of a message: fields, what must stand below them, where each is named first (path, line).

    Without a `required` one, such as ("customer", "first_name"), it is not sent; it uses an `optional` one but can do
    without (`default`, or inside an `if` that asks for it).
    `paths` and `kinds` are how far it looks into a field and what stands there.
    `offers_unsubscribe` is true when both the HTML and the text part show the link.
    """

    required: frozenset[Field]
    optional: frozenset[Field]
    needs: frozenset[Need]
    places: Mapping[Field, tuple[str, int]]
    paths: frozenset[Path]
    kinds: Mapping[Path, str]
    offers_unsubscribe: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Part:
    """One template as its author wrote it: where it stands, and which standing names it may print."""

    name: str
    path: str
    line: int
    source: str
    names: tuple[str, ...]


# A process that runs day after day loads the same messages each time.
_MOST_KEPT = 1_000
_by_content: dict[str, Analysis] = {}


def analyse(message: Message) -> Analysis:
    """Return what the message with its layout and snippets uses, and every problem of its templates."""
    # Kept where a cached property would keep it: who loads a message, checks it and plans it asks each time.
    known: Analysis | None = vars(message).get("_analysis")
    if known is None:
        content = repr(message)
        if content not in _by_content:
            if len(_by_content) >= _MOST_KEPT:
                _by_content.clear()
            _by_content[content] = _analysed(message)
        known = vars(message)["_analysis"] = _by_content[content]
    return known


def with_utm(message: Message, utm: Mapping[str, str]) -> Message:
    """Return the message with what its links carry. What it uses stays the same, and is not worked out again."""
    tagged = replace(message, utm=utm)
    vars(tagged)["_analysis"] = analyse(message)
    return tagged


def _analysed(message: Message) -> Analysis:
    parts = {part.name: part for part in authored(message)}
    whole = Usage()
    places: dict[Field, tuple[str, int]] = {}
    problems: list[Problem] = []
    for part in parts.values():
        used = usage(part.source, part.names)
        problems += [Problem(part.path, at + part.line - 1, text) for at, text in used.problems]
        problems += [Problem(part.path, part.line, text) for text in _missing(used, part, message)]
        for field, at in used.lines.items():
            places.setdefault(field, (part.path, at + part.line - 1))
        whole.add(used)
    made = None if problems else _assembled(message, parts, problems)
    if made is not None and not problems:
        # What is put together is what people need: an `if` of the layout may stand around a field of the body.
        authored_use, whole = whole, Usage()
        for name, source in made.parts.items():
            found = usage(source, (), is_compiled=True)
            stands = parts.get(name) or parts.get("body") or next(iter(parts.values()))
            # Markdown may move an `{% if %}` to where it no longer fits; what comes out must be a template still.
            problems += [
                Problem(stands.path, stands.line, f"once it is put together: {text}") for _, text in found.problems
            ]
            whole.add(found)
        whole.paths |= authored_use.paths
        whole.kinds |= authored_use.kinds
    for field in whole.required | whole.optional:
        places.setdefault(field, (message.path, message.body_line))
    return Analysis(
        required=frozenset(whole.required),
        optional=frozenset(whole.optional),
        needs=frozenset(whole.needs),
        places=places,
        paths=frozenset(whole.paths),
        kinds=whole.kinds,
        offers_unsubscribe=made is not None and made.offers_unsubscribe,
        problems=tuple(sorted(set(problems), key=lambda problem: problem.place)),
    )


def authored(message: Message) -> Iterator[Part]:
    """Return the templates of a message as they were written, those of its layouts and snippets too."""
    snippets = tuple(f"{SNIPPETS}.{name}" for name in message.snippets)
    plain = tuple(f"{SNIPPETS}.{name}" for name, snippet in message.snippets.items() if snippet.kind == "txt")
    if message.channel == "email":
        yield Part("subject", message.path, message.subject_line, message.subject, plain)
        yield Part("preheader", message.path, message.preheader_line, message.preheader, plain)
    if message.lines:
        for leaf in callsheet.leaves(json.loads(message.body), message.kind):
            yield Part(leaf.place, message.path, message.lines.get(leaf.place, 1), leaf.source, (*STANDING, *snippets))
    else:
        yield Part("body", message.path, message.body_line, message.body, (*STANDING, *snippets))
    names = (*STANDING, *LAYOUT_NAMES, *snippets)
    if message.layout_html:
        kind = "mjml" if message.kind == "mjml" else "html"
        yield Part("layout", f"{LAYOUTS}/{message.layout}.{kind}", 1, message.layout_html, names)
    if message.layout_text:
        yield Part("text layout", f"{LAYOUTS}/{message.layout}.txt", 1, message.layout_text, names)
    for snippet in message.used_snippets.values():
        yield Part(f"{SNIPPETS}.{snippet.name}", snippet.path, 1, snippet.body, STANDING)


def _missing(used: Usage, part: Part, message: Message) -> list[str]:
    problems = [
        f"`{name}` is not set in policy.yml; set it there, or do not print it"
        for name in sorted(used.names & set(STANDING))
        if not message.standing.get(name)
    ]
    if part.name in ("layout", "text layout") and "body" not in used.names:
        problems.append("the layout does not print `{{ body }}`; put it where the message belongs")
    return problems


def _assembled(message: Message, parts: Mapping[str, Part], problems: list[Problem]) -> Assembled | None:
    try:
        made = assemble(message.source())
    except TemplateSyntaxError as error:
        problems.append(Problem(message.path, message.body_line, f"the template cannot be read: {error.message}"))
        return None
    for name, line, text in made.findings:
        part = parts[name]
        problems.append(Problem(part.path, part.line + line - 1, text))
    return made


_SAMPLES: tuple[Any, ...] = ("https://example.com/sample", 7, "2026-01-31")
_BY_KIND: dict[str, Any] = {"number": 7, "date": "2026-01-31", "zone": "Europe/London"}


def rehearse(message: Message, found: Analysis) -> RenderError | None:
    """Render the message for made-up people, one with all fields and one with only those it needs.

    Return None when both get it, else the error. What type a field has is guessed from its use; a message passes
    when some guess works.
    """
    renderer = Renderer()
    for fields in (found.required | found.optional, found.required):
        paths = {path for path in found.paths if path[:2] in fields} | fields
        errors = [_try(renderer, message, _person(paths, found.kinds, sample)) for sample in _SAMPLES]
        if all(errors):
            return errors[0]
    return None


def _person(paths: Collection[Path], kinds: Mapping[Path, str], sample: Any) -> dict[str, Any]:
    """Return data that has something at each path: what its kind says, else the sample."""
    tree: dict[str, Any] = {root: {} for root in ROOTS}
    for path in paths:
        at = tree
        for step in path:
            at = at.setdefault(step, {})
    return {root: {name: _grown(tree[root][name], (root, name), kinds, sample) for name in tree[root]} for root in tree}


def _grown(tree: Mapping[str, Any], path: Path, kinds: Mapping[Path, str], sample: Any) -> Any:
    """Return the value at `path`, of which `tree` has what is looked for in it: by name, or by place in a list."""
    kind = kinds.get(path)
    grown = {step: _grown(below, (*path, step), kinds, sample) for step, below in tree.items()}
    if kind != "list" and not any(step.isdigit() or step in sandbox.OF_LISTS for step in tree):
        return grown or _BY_KIND.get(kind or "", sample)
    elements = [grown[step] for step in sorted(grown) if step != "size"]
    rows = [element for element in elements if isinstance(element, dict)]
    element = {name: value for row in rows for name, value in row.items()} or (elements or [sample])[0]
    return [element] * (2 + max((int(step) for step in tree if step.isdigit()), default=0))


def _try(renderer: Renderer, message: Message, data: Mapping[str, Any]) -> RenderError | None:
    try:
        renderer.render(message.source(), data, message_key=message.message_key)
    except RenderError as error:
        return error
    return None
