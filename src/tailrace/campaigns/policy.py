"""What holds for every campaign? `policy.yml`: who writes, who hears how much, and how far numbers may move."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from email_validator import EmailNotValidError, validate_email

from tailrace.campaigns import amounts
from tailrace.campaigns.document import Node, Table, document, free_table, read_text
from tailrace.campaigns.rules import KEYS as RULES
from tailrace.campaigns.rules import Rules, read_rules
from tailrace.campaigns.signature import SIGNATURE
from tailrace.errors import DefinitionError, Problem

PERSON = "{person_id}"
_UNSUBSCRIBE = re.compile(r"(https?://[^/?#\s@{}\\\"'<>]+[/?#]|mailto:)[^\s{}\\\"'<>]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REST = re.compile(r"[^\s{}\\\"'<>]*")


@dataclass(frozen=True)
class Guards:
    """What a run may change before a guard parks it. Shares are of the size at the parent plan (0.3 is 30 %).

    Shares do not count below `minimum_members`, but for what loses everybody; `segment_minimum` is the least size a
    segment may shrink to. `people_left_share` is of all people: no plan is made when more of them are gone.
    `source_stale_after` is for sources whose contract has no `expect_every`; None: such a source may be silent.
    """

    segment_left_share: float = 0.3
    segment_entered_share: float = 0.5
    segment_minimum: int = 0
    minimum_members: int = 50
    source_stale_after: timedelta | None = None
    sync_deletions_share: float = 0.2
    people_left_share: float = 0.2


@dataclass(frozen=True)
class Retention:
    """How long `tailrace gc` leaves plans, and what is personal in them; None: for ever.

    Nothing that HEAD or an open intent needs is ever too old.
    """

    plans: timedelta | None = None
    payloads: timedelta | None = None


@dataclass(frozen=True)
class Policy:
    """What policy.yml says. `overrides` are guards by their subject's name.

    `unsubscribe_url` holds `{person_id}`, and `{signature}` where `unsubscribe_secret_env` names what it is made with.
    """

    from_email: str
    from_name: str
    postal_address: str
    unsubscribe_url: str
    guards: Guards = Guards()
    overrides: Mapping[str, Guards] = field(default_factory=lambda: MappingProxyType({}))
    override_lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    rules: Rules = field(default_factory=Rules)
    retention: Retention = Retention()
    unsubscribe_secret_env: str | None = None
    unsubscribe_line: int = field(default=1, compare=False)

    def guards_for(self, subject: str) -> Guards:
        """Return the guards of one segment, sync or source."""
        return self.overrides.get(subject, self.guards)

    def standing(self) -> dict[str, str]:
        """Return what every message gets from here."""
        return {
            "from_email": self.from_email,
            "from_name": self.from_name,
            "postal_address": self.postal_address,
            "unsubscribe_url": self.unsubscribe_url,
            **({"unsubscribe_secret_env": self.unsubscribe_secret_env} if self.unsubscribe_secret_env else {}),
        }


def load_policy(project_dir: Path) -> Policy:
    """Return the policy of the project.

    Raises DefinitionError with all that is wrong with policy.yml.
    """
    problems: list[Problem] = []
    policy = read_policy(project_dir, problems)
    if policy is None or problems:
        raise DefinitionError(problems)
    return policy


def read_policy(project_dir: Path, problems: list[Problem]) -> Policy | None:
    """Return the policy, or None having added what is wrong to `problems`."""
    text = read_text(project_dir / "policy.yml", "policy.yml", problems)
    root = document("policy.yml", text, problems) if text is not None else None
    keys = ("from", "postal_address", "unsubscribe_url", "unsubscribe_secret_env", "guards", "retention", *RULES)
    table = root.table(keys) if root else None
    if table is None:
        return None
    before = len(problems)
    sender = table.need("from", "`{email: hello@example.com, name: Example}`")
    sender_table = sender.table(("email", "name")) if sender else None
    email = _text(sender_table, "email", "an address such as `hello@example.com`")
    name = _text(sender_table, "name", "the name that people see as the sender")
    if email is not None and sender_table is not None:
        _check_email(sender_table.nodes["email"], email)
    postal = _text(table, "postal_address", "the postal address that every marketing message shows")
    url = _text(table, "unsubscribe_url", f"an address with `{PERSON}`")
    secret_env = _secret_of_link(table, url)
    defaults, overrides, lines = _guards(table.get("guards"))
    folder = project_dir / "campaigns"
    rules = read_rules(table, {entry.name for entry in folder.iterdir()} if folder.is_dir() else ())
    retention = _retention(table.get("retention"))
    if len(problems) > before:
        return None
    line = table.nodes["unsubscribe_url"].line
    return Policy(
        email or "", name or "", postal or "", url or "", defaults, overrides, lines, rules, retention, secret_env, line
    )


def _secret_of_link(table: Table, url: str | None) -> str | None:
    """Return the variable of the secret that signs the link to unsubscribe, having said what is wrong with either."""
    node = table.get("unsubscribe_secret_env")
    name = node.text("the name of an environment variable, such as UNSUBSCRIBE_SECRET") if node else None
    if node is not None and name is not None and not _VARIABLE.fullmatch(name):
        node.wrong(
            "`unsubscribe_secret_env` is no name of an environment variable; expected one, never the secret itself"
        )
    if url is None:
        return name
    before, _, after = url.partition(PERSON)
    is_whole = PERSON in url and _UNSUBSCRIBE.fullmatch(before) and _REST.fullmatch(after.replace(SIGNATURE, "", 1))
    if not is_whole:
        table.nodes["unsubscribe_url"].wrong(
            f"`unsubscribe_url` cannot be used; expected a full http, https or mailto address with `{PERSON}` in it"
            f" once, after the host, and `{SIGNATURE}` at most once, after that"
        )
    elif SIGNATURE in url and node is None:
        table.nodes["unsubscribe_url"].wrong(
            f"`unsubscribe_url` has `{SIGNATURE}` in it, and nothing to make one with; expected"
            " `unsubscribe_secret_env`, the variable that holds the secret"
        )
    elif node is not None and SIGNATURE not in url:
        node.wrong(f"nothing is signed with it; expected `{SIGNATURE}` in `unsubscribe_url`, after `{PERSON}`")
    return name


def unsubscribe_template(url: str, *, escape: bool) -> str:
    """Return the template source that the `unsubscribe_url` of the policy means, escaped for HTML if asked."""
    before, after = url.split(PERSON)
    if escape:
        before, after = html.escape(before), html.escape(after)
    return f"{before}{{{{ customer.person_id|urlencode }}}}{after}"


def _text(table: Table | None, name: str, expected: str) -> str | None:
    node = table.need(name, expected) if table else None
    text = node.text(expected) if node else None
    if node is not None and text is not None and name != "unsubscribe_url" and re.search(r"[{}<>]", text):
        node.wrong(f"`{name}` has braces or angle brackets in it; expected {expected}")
    return text


def _check_email(node: Node, email: str) -> None:
    try:
        validate_email(email, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        node.wrong("`email` is not an address; expected something like `hello@example.com`")


def _retention(node: Node | None) -> Retention:
    table = node.table(("plans", "payloads")) if node else None
    if table is None:
        return Retention()
    plans, payloads = (value.duration() if (value := table.get(name)) else None for name in ("plans", "payloads"))
    if plans is not None and payloads is not None and payloads > plans:
        table.nodes["payloads"].wrong(
            "`payloads` are kept longer than the plans that they are part of; expected at most as long as `plans`"
        )
    return Retention(plans, payloads)


def _share(text: str) -> float:
    if text.endswith("%"):
        return amounts.basis_points(text) / 10_000
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,6})?", text, re.ASCII):
        raise ValueError(f"`{text}` is not a share; expected something like `0.3` or `30%`")
    return float(text)


def _guards(node: Node | None) -> tuple[Guards, dict[str, Guards], dict[str, int]]:
    names = tuple(item.name for item in fields(Guards))
    table = node.table((*names, "overrides")) if node else None
    if table is None:
        return Guards(), {}, {}
    defaults = _set(Guards(), table)
    overrides: dict[str, Guards] = {}
    lines: dict[str, int] = {}
    subjects = table.get("overrides")
    for subject, entry in ((free_table(subjects) if subjects else None) or {}).items():
        own = entry.table(names)
        if own is not None:
            overrides[subject], lines[subject] = _set(defaults, own), entry.line
    return defaults, overrides, lines


def _set(base: Guards, table: Table) -> Guards:
    values: dict[str, float | timedelta | None] = {}
    for name, node in table.nodes.items():
        if name.endswith("_share"):
            values[name] = node.convert(_share)
        elif name == "source_stale_after":
            values[name] = node.duration()
        elif name in ("segment_minimum", "minimum_members"):
            values[name] = node.whole(0, 999_999_999)
    return replace(base, **{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
