"""Campaigns that are right, one for each thing that campaign.yml can say, and the facts that they mean."""

from __future__ import annotations

from typing import Any

HEAD = """\
purpose: Say hello
owner: growth@example.com
status: draft
class: marketing
topic: tips
"""
FILES = (
    *("welcome.email.md", "last_day.email.html", "need_help.email.md", "short_copy.email.mjml", "long_copy.sms.txt"),
    *(
        "crm_task.webhook.yml",
        "cs_alert.slack.md",
        "staff_mail.email.md",
        "ping.push.yml",
        "old_copy.email.html.liquid",
    ),
)
SEND = "steps:\n  - send: welcome\n"

FORM_SQL = "coalesce((json_extract_string(properties, '$.\"form\"') = 'newsletter'), false)"
PRO_SQL = "coalesce((json_extract_string(properties, '$.\"plan\"') = 'pro'), false)"

TRIGGERS: list[tuple[str, dict[str, Any]]] = [
    ("{segment: seg_x}", {"kind": "segment", "segment": "seg_x", "on": "entered"}),
    ("{segment: seg_x, on: left}", {"kind": "segment", "segment": "seg_x", "on": "left"}),
    (
        "{event: signed_up}",
        {"kind": "event", "event": "signed_up", "where": None, "where_sql": None, "occurrence": None, "late": None},
    ),
    (
        "{event: cart_left, where: plan = 'pro', late: 2h}",
        {
            "kind": "event",
            "event": "cart_left",
            "where": "plan = 'pro'",
            "where_sql": PRO_SQL,
            "occurrence": None,
            "late": 7200,
        },
    ),
    (
        "{form: newsletter, late: 1d}",
        {
            "kind": "form",
            "event": "form_submitted",
            "form": "newsletter",
            "where": None,
            "where_sql": FORM_SQL,
            "occurrence": None,
            "late": 86_400,
        },
    ),
    (
        "{form: newsletter, where: plan = 'pro'}",
        {
            "kind": "form",
            "event": "form_submitted",
            "form": "newsletter",
            "where": "plan = 'pro'",
            "where_sql": f"({FORM_SQL} and {PRO_SQL})",
            "occurrence": None,
            "late": None,
        },
    ),
    ("{attribute: plan}", {"kind": "attribute", "attribute": "plan", "from": None, "to": None}),
    (
        "{attribute: plan, from: trial, to: paid}",
        {"kind": "attribute", "attribute": "plan", "from": "trial", "to": "paid"},
    ),
    ("{attribute: seats, to: 5}", {"kind": "attribute", "attribute": "seats", "from": None, "to": "5"}),
    (
        '{date: trial_ends_at, offset: -3d, at: "07:30"}',
        {"kind": "date", "attribute": "trial_ends_at", "offset_days": -3, "at": 450, "every": "once"},
    ),
    ("{date: renews_on}", {"kind": "date", "attribute": "renews_on", "offset_days": 0, "at": 540, "every": "once"}),
    (
        "{broadcast: {segment: seg_x, at: 2026-12-01T09:00+01:00}}",
        {"kind": "broadcast", "segment": "seg_x", "at": "2026-12-01T08:00:00Z"},
    ),
    ("{broadcast: command}", {"kind": "broadcast", "segment": None, "at": None}),
    (
        "{object: account, event: limit_reached, where: plan = 'pro', late: 1d}",
        {
            "kind": "object",
            "object": "account",
            "event": "limit_reached",
            "where": "plan = 'pro'",
            "where_sql": PRO_SQL,
            "segment": None,
            "on": "entered",
            "late": 86_400,
        },
    ),
    (
        "{object: account, segment: seg_big_accounts, on: left}",
        {
            "kind": "object",
            "object": "account",
            "event": None,
            "where": None,
            "where_sql": None,
            "segment": "seg_big_accounts",
            "on": "left",
            "late": None,
        },
    ),
]

CUSTOMER_SQL = "coalesce((json_extract_string(customer, '$.\"plan\"') = 'pro'), false)"

CONDITIONS: list[tuple[str, dict[str, Any]]] = [
    ("{in: seg_x}", {"in": "seg_x"}),
    ("{event: logged_in}", {"event": "logged_in", "where": None, "where_sql": None, "since": "entry"}),
    ("{event: logged_in, since: entry}", {"event": "logged_in", "where": None, "where_sql": None, "since": "entry"}),
    (
        "{event: bought, where: plan = 'pro', since: 2d}",
        {"event": "bought", "where": "plan = 'pro'", "where_sql": PRO_SQL, "since": 172_800},
    ),
    (
        "{event: bought, same: cart_id}",
        {"event": "bought", "where": None, "where_sql": None, "same": ["cart_id"], "since": "entry"},
    ),
    (
        "{event: bought, same: [shop, cart id], since: 2d}",
        {"event": "bought", "where": None, "where_sql": None, "same": ["cart id", "shop"], "since": 172_800},
    ),
    ("{where: plan = 'pro'}", {"where": "plan = 'pro'", "where_sql": CUSTOMER_SQL, "columns": ["plan"]}),
    ("{all: [{in: seg_x}, {not: {in: seg_y}}]}", {"all": [{"in": "seg_x"}, {"not": {"in": "seg_y"}}]}),
    ("{any: [{in: seg_x}]}", {"any": [{"in": "seg_x"}]}),
]

RESPONSES: list[tuple[str, dict[str, Any]]] = [
    ("{response: crm_task}", {"response": "crm_task", "status": None, "where": None, "where_sql": None}),
    ("{response: crm_task, status: 2xx}", {"response": "crm_task", "status": "2xx", "where": None, "where_sql": None}),
    (
        "{response: crm_task, status: 404, where: deal.open}",
        {
            "response": "crm_task",
            "status": "404",
            "where": "deal.open",
            "where_sql": "coalesce((case json_extract_string(body, '$.\"deal\".\"open\"') when 'true' then true"
            " when 'false' then false end), false)",
        },
    ),
]

STEPS: list[tuple[str, list[dict[str, Any]]]] = [
    ("- send: welcome", [{"id": "welcome", "send": "welcome"}]),
    ("- send: ping\n- send: long_copy", [{"id": "ping", "send": "ping"}, {"id": "long_copy", "send": "long_copy"}]),
    (
        "- wait: 2h\n- send: welcome\n  id: again",
        [{"id": "wait_before_again", "wait": 7200}, {"id": "again", "send": "welcome"}],
    ),
    (
        "- if: {in: seg_x}\n  then: [exit]\n  else: [{send: last_day}]\n- send: welcome",
        [
            {
                "id": "if_before_last_day",
                "if": {"in": "seg_x"},
                "then": [{"id": "exit_from_if_before_last_day_then", "exit": True}],
                "else": [{"id": "last_day", "send": "last_day"}],
            },
            {"id": "welcome", "send": "welcome"},
        ],
    ),
    (
        "- if: {in: seg_x}\n  id: decided\n  else:\n    - wait: 1h\n- send: welcome",
        [
            {
                "id": "decided",
                "if": {"in": "seg_x"},
                "then": [],
                "else": [{"id": "wait_before_welcome", "wait": 3600}],
            },
            {"id": "welcome", "send": "welcome"},
        ],
    ),
    (
        "- wait_until: {in: seg_x, timeout: 48h}\n  else: [{send: need_help}]",
        [
            {
                "id": "wait_until_before_need_help",
                "wait_until": {"in": "seg_x"},
                "timeout": 172_800,
                "then": [],
                "else": [{"id": "need_help", "send": "need_help"}],
            }
        ],
    ),
    (
        "- wait_until: {any: [{in: seg_x}, {in: seg_y}], timeout: 1h}\n- send: welcome",
        [
            {
                "id": "wait_until_before_welcome",
                "wait_until": {"any": [{"in": "seg_x"}, {"in": "seg_y"}]},
                "timeout": 3600,
                "then": [],
                "else": [],
            },
            {"id": "welcome", "send": "welcome"},
        ],
    ),
    (
        "- split: [{name: short, weight: 50, steps: [{send: short_copy}]}, {name: none, weight: 1}]\n  id: copy_length",
        [
            {
                "id": "copy_length",
                "split": [
                    {"name": "short", "weight": 50, "steps": [{"id": "short_copy", "send": "short_copy"}]},
                    {"name": "none", "weight": 1, "steps": []},
                ],
            }
        ],
    ),
    (
        "- {webhook: crm_task, id: crm}\n- {if: {response: crm, status: 2xx}, id: crm_ok, else: [{notify: cs_alert}]}",
        [
            {"id": "crm", "webhook": "crm_task"},
            {
                "id": "crm_ok",
                "if": {"response": "crm", "status": "2xx", "where": None, "where_sql": None},
                "then": [],
                "else": [{"id": "cs_alert", "notify": "cs_alert"}],
            },
        ],
    ),
    ("- notify: staff_mail", [{"id": "staff_mail", "notify": "staff_mail"}]),
    (
        "- update: {onboarding_stage: nudged}",
        [{"id": "update_onboarding_stage", "update": {"onboarding_stage": "nudged"}}],
    ),
    (
        "- update: {onboarding_stage: 3}\n- update: {onboarding_stage: null}\n  id: forget",
        [
            {"id": "update_onboarding_stage", "update": {"onboarding_stage": 3}},
            {"id": "forget", "update": {"onboarding_stage": None}},
        ],
    ),
    (
        "- add_to: seg_x\n- remove_from: seg_y\n- exit",
        [
            {"id": "add_to_seg_x", "add_to": "seg_x"},
            {"id": "remove_from_seg_y", "remove_from": "seg_y"},
            {"id": "exit", "exit": True},
        ],
    ),
]

RULES: list[tuple[str, str, Any]] = [
    (
        "filter: {event: bought, since: 30d}",
        "filter",
        {"event": "bought", "where": None, "where_sql": None, "since": 2_592_000},
    ),
    (
        "filter: {not: {event: bought, same: cart_id, since: 30d}}",
        "filter",
        {"not": {"event": "bought", "where": None, "where_sql": None, "same": ["cart_id"], "since": 2_592_000}},
    ),
    ("repeat: after_exit", "repeat", {"kind": "after_exit", "seconds": None}),
    ("repeat: each_occurrence", "repeat", {"kind": "each_occurrence", "seconds": None}),
    ("repeat: every 30d", "repeat", {"kind": "every", "seconds": 2_592_000}),
    ("repeat: after_exit\nin_flight: restart", "in_flight", "restart"),
    ("exit: [{in: seg_x}]", "exit", [{"in": "seg_x"}]),
    (
        "window: {days: mon-fri, from: '09:00', to: '18:00'}",
        "window",
        {"days": [1, 2, 3, 4, 5], "from": 540, "to": 1080},
    ),
    ("window: {days: [sat, sun-mon], to: '12:00'}", "window", {"days": [1, 6, 7], "from": 0, "to": 720}),
    ("window: {from: '22:00', to: '06:00'}", "window", {"days": [1, 2, 3, 4, 5, 6, 7], "from": 1320, "to": 360}),
    (
        "goal: {event: bought, where: plan = 'pro', within: 7d, exit: false}",
        "goal",
        {
            "event": "bought",
            "segment": None,
            "where": "plan = 'pro'",
            "where_sql": PRO_SQL,
            "within": 604_800,
            "exit": False,
        },
    ),
    (
        "goal: {event: bought, same: cart_id, within: 7d}",
        "goal",
        {
            "event": "bought",
            "segment": None,
            "where": None,
            "where_sql": None,
            "same": ["cart_id"],
            "within": 604_800,
            "exit": True,
        },
    ),
    (
        "goal: {segment: seg_x, within: 1h}",
        "goal",
        {"event": None, "segment": "seg_x", "where": None, "where_sql": None, "within": 3600, "exit": True},
    ),
]


def indented(text: str, by: str = "  ") -> str:
    """Return the text with each line further in."""
    return "".join(f"{by}{line}\n" for line in text.splitlines())


def of_trigger(trigger: str) -> str:
    """Return a campaign.yml with this trigger; its trigger is on line 6."""
    return f"{HEAD}trigger: {trigger}\n{SEND}"


def of_filter(condition: str) -> str:
    """Return a campaign.yml with an `if` of this condition, on line 9, after a webhook step."""
    return of_steps(f"- webhook: crm_task\n- if: {condition}\n  then: [{{send: welcome}}]")


def of_steps(steps: str) -> str:
    """Return a campaign.yml with these steps; the first is on line 8."""
    return f"{HEAD}trigger: {{event: a}}\nsteps:\n{indented(steps)}"


def of_rules(rules: str) -> str:
    """Return a campaign.yml with these keys, from line 7 on."""
    return f"{HEAD}trigger: {{event: a}}\n{rules}\n{SEND}"


def every_text() -> list[str]:
    """Return all of them."""
    return [
        *(of_trigger(text) for text, _ in TRIGGERS),
        *(of_filter(text) for text, _ in [*CONDITIONS, *RESPONSES]),
        *(of_steps(text) for text, _ in STEPS),
        *(of_rules(text) for text, _, _ in RULES),
    ]
