"""Which campaigns are there? The folder is the contract: `campaigns/<slug>/campaign.yml` and one file per message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tailrace.campaigns.agreement import agreement
from tailrace.campaigns.analysis import analyse, authored, with_utm
from tailrace.campaigns.definition import Campaign, Message, MessageFile
from tailrace.campaigns.document import read_text
from tailrace.campaigns.messages import Around, message_file, read_layouts, read_message, read_snippets, stranger
from tailrace.campaigns.policy import Policy, read_policy
from tailrace.campaigns.reading import Found, read_campaign
from tailrace.campaigns.steps import Notify, Send
from tailrace.campaigns.usage import usage
from tailrace.campaigns.words import NAME
from tailrace.errors import DefinitionError, Problem
from tailrace.programmes import programmes


@dataclass(frozen=True)
class Shelf:
    """All campaigns that are right, by slug in order; what is wrong with the others; and what is worth knowing.

    `off` are those whose programme is off: they are right in themselves, and nobody plans them. `project_dir` is
    where it was read.
    """

    campaigns: dict[str, Campaign]
    policy: Policy | None
    problems: tuple[Problem, ...]
    notices: tuple[Problem, ...]
    off: dict[str, Campaign] = field(default_factory=dict)
    project_dir: Path | None = None


def load_campaigns(project_dir: Path, *, strict: bool = True) -> Shelf:
    """Return the campaigns of the project.

    Raises DefinitionError with all problems of all files; unless `strict` is off, when they stand in the shelf.
    Paths in problems are relative to the project.
    """
    problems: list[Problem] = []
    notices: list[Problem] = []
    policy = read_policy(project_dir, problems)
    folder = project_dir / "campaigns"
    around = Around(read_layouts(folder / "_layout", problems), read_snippets(folder / "_snippets", problems), policy)
    on = _programmes(project_dir, problems)
    campaigns: dict[str, Campaign] = {}
    off: dict[str, Campaign] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.name in ("_layout", "_snippets", "README.md"):
            continue
        path = f"campaigns/{entry.name}"
        if not entry.is_dir() or not NAME.fullmatch(entry.name):
            what = "a folder per campaign, named in small letters, digits and `_`"
            problems.append(Problem(path, None, f"`{entry.name}` is not a campaign; expected {what}"))
            continue
        campaign = _campaign(entry, path, around, problems, notices)
        if campaign is not None:
            is_on = campaign.programme is None or campaign.programme in on
            (campaigns if is_on else off)[campaign.slug] = campaign
    found = tuple(sorted(set(problems), key=lambda problem: (problem.path, problem.line or 0, problem.message)))
    if strict and found:
        raise DefinitionError(found)
    return Shelf(campaigns, policy, found, tuple(notices), off, project_dir)


def _programmes(project_dir: Path, problems: list[Problem]) -> frozenset[str]:
    try:
        return programmes(project_dir)
    except DefinitionError as error:
        problems += error.problems
        return frozenset()


def _campaign(
    folder: Path,
    path: str,
    around: Around,
    problems: list[Problem],
    notices: list[Problem],
) -> Campaign | None:
    before = len(problems)
    messages: dict[str, Message] = {}
    files: dict[str, MessageFile] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in ("campaign.yml", "README.md"):
            continue
        file = message_file(entry.name, f"{path}/{entry.name}")
        if file is None:
            problems.append(Problem(f"{path}/{entry.name}", None, stranger(entry.name)))
            continue
        if file.name in files:
            problems.append(Problem(file.path, 1, f"the message `{file.name}` has two files; keep one"))
            continue
        files[file.name] = file
        message = read_message(entry, folder.name, file, around, problems)
        if message is not None:
            messages[message.name] = message
    definition = f"{path}/campaign.yml"
    text = read_text(folder / "campaign.yml", definition, problems)
    if text is None:
        return None
    campaign = read_campaign(definition, folder.name, text, Found(messages, files), problems)
    if campaign is None or len(problems) > before:
        return None
    if around.policy is not None:
        problems += agreement(campaign, around.policy)
        campaign = _with_utm(campaign, around.policy)
        # Without a policy nobody knows of a link: what is wrong with policy.yml is said once, not at each message.
        _check_unsubscribe(campaign, problems)
    problems += _notify_problems(campaign)
    notices.extend(_notices(campaign))
    return campaign if len(problems) == before else None


def _with_utm(campaign: Campaign, policy: Policy) -> Campaign:
    """Return the campaign with what its links carry: those of marketing by e-mail, not those to staff."""
    utm = {name: value.replace("{campaign}", campaign.slug) for name, value in policy.rules.utm.items()}
    if campaign.klass != "marketing" or not utm:
        return campaign
    messages = {
        name: with_utm(message, utm) if message.channel == "email" and message.to is None else message
        for name, message in campaign.messages.items()
    }
    return replace(campaign, messages=messages)


def _notify_problems(campaign: Campaign) -> Iterable[Problem]:
    """Return messages to staff that name nobody, and messages to people that name staff."""
    for step in campaign.all_steps:
        message = campaign.messages.get(step.message) if isinstance(step, Notify | Send) else None
        if message is None or message.channel != "email":
            continue
        if isinstance(step, Notify) and message.to is None:
            what = "a message to staff needs an address; expected `to: success@example.com` in its header"
            yield Problem(message.path, 1, what)
        elif isinstance(step, Notify):
            yield from _way_out_for_staff(message)
        elif isinstance(step, Send) and message.to is not None:
            what = f"`to` is for staff, and the step `{step.id}` sends it to the person"
            yield Problem(message.path, 2, f"{what}; expected a `notify` step, or no `to`")


def _way_out_for_staff(message: Message) -> Iterable[Problem]:
    """Return where a mail to staff shows the person's own link to unsubscribe, which staff or a scanner may follow."""
    for part in authored(message):
        if "unsubscribe_url" in usage(part.source, part.names).names:
            what = f"{part.path} prints `unsubscribe_url`: who follows it in a mail to staff unsubscribes the person"
            where = message.path, message.body_line
            yield Problem(*where, f"{what}; expected a layout without it: `layout: staff`, with the files of that name")
            return


def _check_unsubscribe(campaign: Campaign, problems: list[Problem]) -> None:
    if campaign.klass != "marketing":
        return
    for message in campaign.messages.values():
        if message.channel == "email" and message.to is None and not analyse(message).offers_unsubscribe:
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
