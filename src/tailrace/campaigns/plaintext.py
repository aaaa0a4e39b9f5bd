"""What does HTML say to somebody who reads plain text?"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

_BLOCKS = frozenset(
    ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "section", "center")
)
_SKIPPED = frozenset(("style", "script", "title", "head"))


def to_text(document: str, word: re.Pattern[str], link: Callable[[str], str] = str) -> str:
    """Return what the HTML says as plain text: links in parentheses, list items with a dash or number.

    A comment that is one `word` is a template tag that stands alone: it keeps a line of its own. `link` says how an
    address is written.
    """
    reader = _Text(word, link)
    reader.feed(document)
    reader.close()
    lines = [line.rstrip() for line in "".join(reader.out).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


class _Text(HTMLParser):
    def __init__(self, word: re.Pattern[str], link: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=True)
        self.word, self.link = word, link
        self.out: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.lists: list[int | None] = []
        self.skipping = 0
        self.verbatim = 0

    def _break(self, count: int) -> None:
        tail = "".join(self.out[-4:])
        if self.out:
            self.out.append("\n" * max(0, count - (len(tail) - len(tail.rstrip("\n")))))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _SKIPPED:
            self.skipping += 1
        elif tag in ("ul", "ol"):
            self._break(1 if self.lists else 2)
            self.lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._break(1)
            number = self.lists[-1] if self.lists else None
            self.out.append("  " * (len(self.lists) - 1) + ("- " if number is None else f"{number}. "))
            if number is not None:
                self.lists[-1] = number + 1
        elif tag in _BLOCKS and not self.lists:
            self._break(2)
        elif tag in ("br", "tr"):
            self._break(1) if tag == "tr" else self.out.append("\n")
        elif tag == "hr":
            self._break(2)
            self.out.append("---")
            self._break(2)
        elif tag in ("td", "th") and not "".join(self.out[-4:]).endswith(("\n", " ")):
            self.out.append(" " if self.out else "")
        elif tag == "img":
            self.out.append(values.get("alt", ""))
        if tag == "pre":
            self.verbatim += 1
        if tag == "a":
            self.links.append((values.get("href", ""), len(self.out)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self.skipping = max(0, self.skipping - 1)
        elif tag == "a" and self.links:
            href, start = self.links.pop()
            label = "".join(self.out[start:]).strip()
            address = href.strip().removeprefix("mailto:")
            written = self.link(address)
            if label in (address, href.strip()):
                self.out[start:] = [written if address == href.strip() else label]
            elif address and not address.startswith("#"):
                self.out.append(f" ({written})" if label else written)
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self._break(1 if self.lists else 2)
        elif tag in _BLOCKS and not self.lists:
            self._break(2)
        if tag == "pre":
            self.verbatim = max(0, self.verbatim - 1)

    def handle_comment(self, data: str) -> None:
        if self.word.fullmatch(data):
            self._break(1)
            self.out.append(data + "\n")

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if not self.verbatim:
            data = re.sub(r"\s+", " ", data)
            if not self.out or self.out[-1].endswith(("\n", " ")):
                data = data.lstrip(" ")
        if data:
            self.out.append(data)
