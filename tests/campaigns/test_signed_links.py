"""Links to unsubscribe are signed with the company's secret, wherever a message has them, and who answers can tell."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.campaigns.definition import Message, RenderError
from tailrace.campaigns.policy import load_policy
from tailrace.campaigns.render import Renderer
from tailrace.campaigns.shelf import load_campaigns
from tailrace.campaigns.signature import is_signed, sign
from tailrace.checks.project import unsigned_links
from tailrace.errors import DefinitionError, TailraceError
from tests.campaigns.conftest import POLICY, Project

URL = "https://example.com/u?a=1&p={person_id}&s={signature}"
SECRET = "0123456789abcdef0123"
PAGE = "{{ body }}<p style='color:red'><a href='{{ unsubscribe_url }}'>out</a></p>"
KEY = "1152921504606846975"
DATA = {"customer": {"person_id": int(KEY)}}
Make = Callable[..., Message]
SIGNED = sign(SECRET, KEY)


def signed(message: Make, body: str = "Hi\n", **more: Any) -> Message:
    made = message(body, page=PAGE, text="{{ body }}{{ unsubscribe_url }}", **more)
    return replace(made, standing={**made.standing, "unsubscribe_url": URL, "unsubscribe_secret_env": "LINKS"})


def test_the_signature_is_what_the_documentation_says() -> None:
    whole = hmac.new(b"0123456789abcdef", b"unsubscribe:42", hashlib.sha256).hexdigest()
    assert sign("0123456789abcdef", "42") == whole[:32] == "d3d5c040b2c9be83b7bd4e4e4286858d"


@pytest.mark.parametrize("kind", ["md", "html"])
def test_every_link_of_a_message_is_signed_and_so_is_its_header(message: Make, kind: str) -> None:
    asked = []

    def secret(name: str) -> str:
        asked.append(name)
        return f"{SECRET} old-old-old-old-old"

    made = Renderer(secret).render(signed(message, kind=kind).source(), DATA)
    assert set(asked) == {"LINKS"}
    assert f"https://example.com/u?a=1&amp;p={KEY}&amp;s={SIGNED}" in made.html
    assert f"https://example.com/u?a=1&p={KEY}&s={SIGNED}" in made.text
    assert made.headers == {"List-Unsubscribe": f"<https://example.com/u?a=1&p={KEY}&s={SIGNED}>"}


def test_a_preview_is_not_signed_and_says_so(message: Make) -> None:
    made = Renderer().render(signed(message).source(), DATA)
    assert made.headers["List-Unsubscribe"].endswith("&s=unsigned>")


@pytest.mark.parametrize("secret", [None, "short"])
def test_without_a_secret_no_message_is_made(message: Make, secret: str | None) -> None:
    def ask(name: str) -> str:
        if secret is None:
            raise TailraceError("unset")
        return secret

    with pytest.raises(RenderError, match="no_secret"):
        Renderer(ask).render(signed(message).source(), DATA)


def test_only_the_secret_and_the_person_make_the_signature() -> None:
    assert is_signed(SECRET, KEY, SIGNED)
    assert is_signed(f"new-new-new-new-new {SECRET}", KEY, SIGNED), "while secrets change"
    assert sign(f"{SECRET} old-old-old-old-old", KEY) == SIGNED
    for secrets, key, signature in (
        ("another-secret-of-it", KEY, SIGNED),
        ("", KEY, SIGNED),
        (SECRET, KEY[:-1], SIGNED),
        (SECRET, KEY, ""),
        (SECRET, KEY, SIGNED[:-1]),
        (SECRET, KEY, SIGNED.upper()),
        (SECRET, KEY, "unsigned"),
        (SECRET, KEY, "\ud800ü"),
    ):
        assert not is_signed(secrets, key, signature)


@given(st.text(max_size=40))
def test_no_other_signature_passes(guess: str) -> None:
    assert is_signed(SECRET, KEY, guess) is (guess == SIGNED)


def test_a_policy_that_signs_says_with_what(project: Project) -> None:
    project.write("policy.yml", _policy(URL, "LINKS"))
    policy = load_policy(project.root)
    assert (policy.unsubscribe_secret_env, policy.standing()["unsubscribe_secret_env"]) == ("LINKS", "LINKS")


@pytest.mark.parametrize(
    ("url", "variable", "words"),
    [
        (URL, None, "nothing to make one with"),
        ("https://example.com/u?p={person_id}", "LINKS", "nothing is signed with it"),
        (URL, "not a name", "no name of an environment variable"),
        ("https://{signature}.example.com/u?p={person_id}", "LINKS", "cannot be used"),
        (f"{URL}&t={{signature}}", "LINKS", "cannot be used"),
    ],
)
def test_what_is_half_signed_is_a_mistake(project: Project, url: str, variable: str | None, words: str) -> None:
    project.write("policy.yml", _policy(url, variable))
    with pytest.raises(DefinitionError, match=re.escape(words)):
        load_policy(project.root)


def test_check_notes_that_links_are_not_signed(project: Project) -> None:
    (said,) = unsigned_links(load_campaigns(project.root, strict=False))
    assert str(said).startswith("policy.yml:3: `unsubscribe_url` is not signed")

    project.write("policy.yml", _policy(URL, "LINKS"))
    assert unsigned_links(load_campaigns(project.root, strict=False)) == []


def _policy(url: str, variable: str | None) -> str:
    told = POLICY.replace("https://example.com/u?a=1&p={person_id}", url)
    assert told != POLICY
    return told + (f"unsubscribe_secret_env: {variable}\n" if variable else "")
