from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.campaigns.definition import Message
from tailrace.campaigns.shelf import Shelf, load_campaigns

POLICY = """\
from: {email: hello@example.com, name: Harbour}
postal_address: "Harbour Ltd, 12 Mill Lane"
unsubscribe_url: "https://example.com/u?a=1&p={person_id}"
topics:
  tips: {summary: Tips}
  tricks: {summary: Tricks, default: unsubscribed}
owned_attributes: [onboarding_stage]
"""
PAGE = '<html><body>{{ body }}<p><a href="{{ unsubscribe_url }}">out</a> {{ postal_address }}</p></body></html>\n'
TEXT = "{{ body }}\n-- \n{{ unsubscribe_url }}\n{{ postal_address }}\n"
CAMPAIGN = """\
purpose: Say hello
owner: growth@example.com
status: live
class: marketing
topic: tips
trigger:
  event: signed_up
sending: automatic
steps:
  - send: welcome
"""
MESSAGE = "---\nsubject: Hello\n---\nHi {{ customer.first_name|default('there') }}\n"


class Project:
    """A project folder that starts right and is then broken in one place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("policy.yml", POLICY)
        self.write("campaigns/_layout/email.html", PAGE)
        self.write("campaigns/_layout/email.txt", TEXT)
        self.write("campaigns/hello/campaign.yml", CAMPAIGN)
        self.write("campaigns/hello/welcome.email.md", MESSAGE)

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def shelf(self) -> Shelf:
        return load_campaigns(self.root, strict=False)

    def complaints(self) -> list[str]:
        return [str(problem) for problem in self.shelf().problems]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(
        body: str, *, subject: str = "Hello", kind: str = "md", page: str = "{{ body }}", text: str = "{{ body }}"
    ) -> Message:
        return Message(
            campaign="hello",
            name="welcome",
            channel="email",
            kind="md" if kind == "md" else "html",
            path="campaigns/hello/welcome.email.md",
            subject=subject,
            preheader="",
            from_name=None,
            body=body,
            body_line=4,
            layout="email",
            layout_html=page,
            layout_text=text,
            standing={
                "from_email": "hello@example.com",
                "from_name": "Harbour",
                "postal_address": "Harbour & Sons",
                "unsubscribe_url": "https://example.com/u?a=1&p={person_id}",
            },
        )

    return make
