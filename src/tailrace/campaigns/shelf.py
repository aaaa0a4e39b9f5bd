"""Which campaigns are there? The folder is the contract: `campaigns/<slug>/campaign.yml` and one file per message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tailrace.campaigns.agreement import agreement
from tailrace.campaigns.analysis import LAYOUTS, analyse
from tailrace.campaigns.definition import Campaign, Message, MessageFile
from tailrace.campaigns.document import Table, document, read_text
from tailrace.campaigns.policy import Policy, read_policy
from tailrace.campaigns.reading import Found, read_campaign
from tailrace.campaigns.words import NAME
from tailrace.errors import DefinitionError, Problem, nearest

_KINDS = {
    "email": ("md", "html", "mjml", "liquid"),
    "sms": ("txt", "liquid"),
    "push": ("yml",),
    "slack": ("md",),
    "webhook": ("yml",),
}
"""The kinds of message file of each channel; all but `liquid` itself may have `.liquid` after them."""
_MESSAGE = re.compile(r"([a-z][a-z0-9_]{0,63})\.([a-z]+)\.([a-z]+?)(\.liquid)?", re.ASCII)
_RENDERED = {("email", "md"): "md", ("email", "html"): "html"}
"""The channels and kinds of which `_message` makes a Message. The others are found by their name and no more: steps may
name them, and only a draft may rest on them. Whoever makes one of them real adds it here and reads it in `_message`."""
_HEADER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_KEYS = ("subject", "preheader", "from_name", "layout")


@dataclass(frozen=True)
class Shelf:
    """All campaigns that are right, by slug in order; what is wrong with the others; and what is worth knowing.

    `off` are those whose programme is off: they are right in themselves, and nobody plans them.
    """

    campaigns: dict[str, Campaign]
    policy: Policy | None
    problems: tuple[Problem, ...]
    notices: tuple[Problem, ...]
    off: dict[str, Campaign] = field(default_factory=dict)


def load_campaigns(project_dir: Path, *, strict: bool = True) -> Shelf:
    """Return the campaigns of the project.

    Raises DefinitionError with all problems of all files; unless `strict` is off, when they stand in the shelf.
    Paths in problems are relative to the project.
    """
    problems: list[Problem] = []
    notices: list[Problem] = []
    policy = read_policy(project_dir, problems)
    folder = project_dir / "campaigns"
    layouts = _layouts(folder / "_layout", problems)
    programmes = _programmes(project_dir, problems)
    campaigns: dict[str, Campaign] = {}
    off: dict[str, Campaign] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.name in ("_layout", "README.md"):
            continue
        path = f"campaigns/{entry.name}"
        if not entry.is_dir() or not NAME.fullmatch(entry.name):
            what = "a folder per campaign, named in small letters, digits and `_`"
            problems.append(Problem(path, None, f"`{entry.name}` is not a campaign; expected {what}"))
            continue
        campaign = _campaign(entry, path, layouts, policy, problems, notices)
        if campaign is not None:
            is_on = campaign.programme is None or campaign.programme in programmes
            (campaigns if is_on else off)[campaign.slug] = campaign
    found = tuple(sorted(set(problems), key=lambda problem: (problem.path, problem.line or 0, problem.message)))
    if strict and found:
        raise DefinitionError(found)
    return Shelf(campaigns, policy, found, tuple(notices), off)


def _programmes(project_dir: Path, problems: list[Problem]) -> frozenset[str]:
    """Return the worked programmes that are on: the var of dbt_project.yml by which models go on and off, too."""
    path = project_dir / "dbt_project.yml"
    if not path.is_file():
        return frozenset()
    try:
        said = (YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}).get("vars") or {}
    except (YAMLError, AttributeError):
        # dbt says what is wrong with the file when it reads the project.
        return frozenset()
    names = said.get("programmes", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        what = "`vars: programmes` is not a list of names; expected such as `[saas]`, or `[]` for none"
        problems.append(Problem("dbt_project.yml", None, what))
        return frozenset()
    return frozenset(names)


def _layouts(folder: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    """Return the shared layouts by name: (HTML, text)."""
    layouts: dict[str, tuple[str, str]] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.suffix == ".txt":
            continue
        path = f"{LAYOUTS}/{entry.name}"
        if entry.suffix != ".html" or not NAME.fullmatch(entry.stem):
            problems.append(Problem(path, None, "not a layout; expected pairs such as `email.html` and `email.txt`"))
            continue
        page = read_text(entry, path, problems)
        text = read_text(entry.with_suffix(".txt"), f"{LAYOUTS}/{entry.stem}.txt", problems)
        if page is not None and text is not None:
            layouts[entry.stem] = (page, text)
    return layouts


def _campaign(
    folder: Path,
    path: str,
    layouts: dict[str, tuple[str, str]],
    policy: Policy | None,
    problems: list[Problem],
    notices: list[Problem],
) -> Campaign | None:
    before = len(problems)
    messages: dict[str, Message] = {}
    files: dict[str, MessageFile] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in ("campaign.yml", "README.md"):
            continue
        file = _message_file(entry.name, f"{path}/{entry.name}")
        if file is None:
            problems.append(Problem(f"{path}/{entry.name}", None, _stranger(entry.name)))
            continue
        if file.name in files:
            problems.append(Problem(file.path, 1, f"the message `{file.name}` has two files; keep one"))
            continue
        files[file.name] = file
        if (file.channel, file.kind) in _RENDERED and not file.is_liquid:
            message = _message(entry, folder.name, file, layouts, policy, problems)
            if message is not None:
                messages[message.name] = message
    definition = f"{path}/campaign.yml"
    text = read_text(folder / "campaign.yml", definition, problems)
    if text is None:
        return None
    campaign = read_campaign(definition, folder.name, text, Found(messages, files), problems)
    if campaign is None or len(problems) > before:
        return None
    problems += agreement(campaign, policy) if policy else ()
    problems += _unmade(campaign)
    _check_unsubscribe(campaign, problems)
    notices.extend(_notices(campaign))
    return campaign if len(problems) == before else None


def _message_file(name: str, path: str) -> MessageFile | None:
    """Return what the name of a message file says, or None when it is no message's name."""
    match = _MESSAGE.fullmatch(name)
    if match is None or match.group(3) not in _KINDS.get(match.group(2), ()):
        return None
    kind, is_liquid = match.group(3), match.group(3) == "liquid" or match.group(4) is not None
    return (
        None
        if kind == "liquid" and match.group(4)
        else MessageFile(match.group(1), match.group(2), kind, is_liquid, path)
    )


def _stranger(name: str) -> str:
    channels = ", ".join(f"`<name>.{channel}.{kinds[0]}`" for channel, kinds in _KINDS.items())
    hint = nearest(name, ("campaign.yml",))
    return f"`{name}` is no part of a campaign; expected `campaign.yml`, {channels}.{hint}"


def _unmade(campaign: Campaign) -> Iterable[Problem]:
    for name in sorted(campaign.used_messages - set(campaign.messages)):
        if campaign.status != "draft":
            what = f"`{name}` is a kind of message that cannot be made yet"
            expected = "expected `.email.md` or `.email.html`, or `status: draft`"
            yield Problem(campaign.files[name].path, None, f"{what}; {expected}")


def _message(
    file: Path,
    slug: str,
    found: MessageFile,
    layouts: dict[str, tuple[str, str]],
    policy: Policy | None,
    problems: list[Problem],
) -> Message | None:
    path = found.path
    text = read_text(file, path, problems)
    header = _HEADER.match(text) if text is not None else None
    if text is None or header is None:
        if text is not None:
            what = "a header between two lines of `---` with at least `subject: …`, then the body"
            problems.append(Problem(path, 1, f"the message has no header; expected {what}"))
        return None
    root = document(path, header.group(1), problems, first_line=2, name="the header")
    table = root.table(_KEYS) if root else None
    facts = _facts(table, layouts) if table else None
    if table is None or facts is None:
        return None
    body, body_line = text[header.end() :], text.count("\n", 0, header.end()) + 1
    if not body.strip():
        problems.append(Problem(path, body_line, "the message has no body; expected text after the second `---`"))
        return None
    page, plain = layouts[facts["layout"]]
    message = Message(
        campaign=slug,
        name=found.name,
        channel=found.channel,
        kind="md" if found.kind == "md" else "html",
        path=path,
        subject=facts["subject"],
        preheader=facts.get("preheader", ""),
        from_name=facts.get("from_name"),
        body=body,
        body_line=body_line,
        layout=facts["layout"],
        layout_html=page,
        layout_text=plain,
        standing=policy.standing() if policy else {},
        subject_line=table.nodes["subject"].text_line,
        preheader_line=table.nodes["preheader"].text_line if "preheader" in table.nodes else 2,
    )
    wrong = analyse(message).problems if policy else ()
    problems.extend(wrong)
    return None if wrong else message


def _facts(table: Table, layouts: dict[str, tuple[str, str]]) -> dict[str, str] | None:
    table.need("subject", "the subject line")
    facts: dict[str, str] = {}
    for name, node in table.nodes.items():
        value = node.text("one line of text")
        if value is not None and "\n" in value:
            node.wrong(f"`{name}` has more than one line; expected one line of text")
        elif value is not None:
            facts[name] = value
    facts.setdefault("layout", "email")
    if facts["layout"] not in layouts:
        node = table.nodes.get("layout", table.node)
        hint = nearest(facts["layout"], layouts)
        node.wrong(
            f"there is no layout `{facts['layout']}`; expected `{LAYOUTS}/{facts['layout']}.html` and `.txt`.{hint}"
        )
        return None
    return facts if "subject" in facts and set(facts) >= set(table.nodes) else None


def _check_unsubscribe(campaign: Campaign, problems: list[Problem]) -> None:
    if campaign.klass != "marketing":
        return
    for message in campaign.messages.values():
        if not analyse(message).offers_unsubscribe:
            where = "in the message, or in both files of its layout"
            problems.append(
                Problem(
                    message.path,
                    message.body_line,
                    f"marketing needs a way out; expected `{{{{ unsubscribe_url }}}}` {where}",
                )
            )


def _notices(campaign: Campaign) -> Iterable[Problem]:
    if campaign.status == "live" and campaign.sending == "draft":
        what = "its messages wait for `tailrace drafts approve` until it says `sending: automatic`"
        yield Problem(campaign.path, None, what)
    for name in sorted(set(campaign.files) - campaign.used_messages):
        yield Problem(campaign.path, None, f"no step uses the message `{name}`")
