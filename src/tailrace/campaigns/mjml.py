"""How does MJML become HTML? mrml compiles it; what mrml would drop without a word is found first, with its line."""

from __future__ import annotations

import re
from functools import lru_cache

import mrml

_KNOWN = frozenset(
    f"mj-{name}"
    for name in (
        *("accordion", "accordion-element", "accordion-text", "accordion-title", "all", "attributes", "body"),
        *("breakpoint", "button", "carousel", "carousel-image", "class", "column", "divider", "font", "group", "head"),
        *("hero", "image", "navbar", "navbar-link", "preview", "raw", "section", "social", "social-element", "spacer"),
        *("style", "table", "text", "title", "wrapper"),
    )
)
_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][\w:-]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.DOTALL)
_UNQUOTED = re.compile(r"=\s*[^\s\"'>]")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_POSITION = re.compile(r"position (\d+):\d+")
_ROOT = re.compile(r"\s*(?:<!--.*?-->\s*)*<mjml[\s>]", re.DOTALL)


def is_document(source: str) -> bool:
    """Return whether the source is a whole `<mjml>` document; otherwise it is sections, for a layout."""
    return _ROOT.match(source) is not None


@lru_cache(maxsize=256)
def to_html(source: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return the HTML of a whole `<mjml>` document, and what is wrong with it as (line, message). Loads nothing."""
    wrong = _unbalanced(source)
    if wrong:
        return "", tuple(wrong)
    try:
        made = mrml.to_html(source, mrml.ParserOptions(include_loader=mrml.noop_loader()), mrml.RenderOptions(fonts={}))
    except OSError as error:
        at = _POSITION.search(str(error))
        line = _line(source, int(at.group(1))) if at else 1
        return "", ((line, f"this is not MJML: {error}; expected tags that are closed and attributes in quotes"),)
    return str(made.content), tuple((1, f"MJML: {warning}") for warning in made.warnings)


def _line(source: str, at: int) -> int:
    # Positions are in bytes.
    return source.encode()[:at].count(b"\n") + 1


def _unbalanced(source: str) -> list[tuple[int, str]]:
    """Return tags that are unknown, or not closed where they should be."""
    if "<!DOCTYPE" in source or "<!ENTITY" in source:
        return [(1, "MJML has no document type; remove it")]
    found: list[tuple[int, str]] = []
    open_tags: list[tuple[str, int]] = []
    for match in _TAG.finditer(source):
        if match.group(2) is None:
            continue
        closing, name, rest = match.group(1), match.group(2).lower(), match.group(3)
        line = source.count("\n", 0, match.start()) + 1
        if name == "mj-include":
            found.append((line, "`mj-include` cannot be used; a layout and snippets hold what messages share"))
        elif name.startswith("mj-") and name not in _KNOWN and not closing:
            found.append((line, f"`<{name}>` is no tag of MJML, which would drop it; remove it"))
        if _UNQUOTED.search(_QUOTED.sub('""', rest)):
            found.append((line, f'an attribute of `<{name}>` is not quoted; expected `name="value"`'))
        if closing:
            if not open_tags:
                return [*found, (line, f"`</{name}>` closes nothing; remove it")]
            if open_tags[-1][0] != name:
                return [*found, (open_tags[-1][1], f"`<{open_tags[-1][0]}>` is not closed before `</{name}>`")]
            open_tags.pop()
        elif name not in _VOID and not rest.rstrip().endswith("/"):
            open_tags.append((name, line))
    return found + [(line, f"`<{name}>` is not closed") for name, line in open_tags[:1]]
