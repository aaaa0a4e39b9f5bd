"""How do the rules of a style sheet get into the elements? Mail clients drop or ignore sheets; they heed `style="…"`.

A rule that an element cannot carry (`@media`, `:hover`) stays in the sheet. It would lose against the element there, so
what a `@media` block says is made `!important`.
"""

from __future__ import annotations

import re

import css_inline

MOST_ELEMENTS = 5_000
"""A page of more elements is left as it is: the parser's stack has an end, and so has the process then."""

# A font or a tracking sheet is nobody's to fetch while mail is made, and a file of this machine even less.
_INLINER = css_inline.CSSInliner(
    keep_style_tags=True, keep_link_tags=True, remove_inlined_selectors=True, load_remote_stylesheets=False
)
_SHEET = re.compile(r"(<style\b)([^>]*)(>)(.*?)(</style\s*>)", re.IGNORECASE | re.DOTALL)
_FOR_A_MEDIUM = re.compile(r"""\bmedia\s*=(?!\s*["']?\s*all\b)""", re.IGNORECASE)
_MEDIA = re.compile(r"@media[^{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.IGNORECASE)
_RULE = re.compile(r"\{([^{}]*)\}")
_DECLARATION = re.compile(
    r"""([\w-]+\s*:(?:[^;"'(){}!]|"[^"]*"|'[^']*'|\((?:[^()]|\([^()]*\))*\))+)(?=;|$)""", re.ASCII
)


def prepared(template: str) -> str:
    """Return the page's template with its sheets made ready: done once for all people."""
    return _SHEET.sub(_ready, template)


def has_rules(template: str) -> bool:
    """Return whether there is a sheet at all."""
    return _SHEET.search(template) is not None


def inlined(page: str) -> str:
    """Return the page with each rule written into the elements that it is about."""
    if page.count("<") - page.count("</") > MOST_ELEMENTS:
        return page
    return _INLINER.inline(page)


def _ready(sheet: re.Match[str]) -> str:
    opens, attributes, ends, rules, closes = sheet.groups()
    # The library reads a sheet for print as if it were for all.
    kept = ' data-css-inline="ignore"' if _FOR_A_MEDIUM.search(attributes) else ""
    firm = _MEDIA.sub(lambda block: _RULE.sub(_made_important, block[0]), rules)
    return f"{opens}{attributes}{kept}{ends}{firm}{closes}"


def _made_important(rule: re.Match[str]) -> str:
    return "{" + _DECLARATION.sub(lambda one: f"{one[1].rstrip()} !important", rule[1].strip()) + "}"
