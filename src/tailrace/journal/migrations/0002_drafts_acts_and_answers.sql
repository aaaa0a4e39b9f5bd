-- What a person must approve, what plans do beside sending, and what webhooks answer. Only ever appended to.

-- the topic that consent is asked about; null when the intent's class has none
alter table intents add column topic text;

-- whether the plan wanted it approved by a person
alter table intents add column is_draft integer not null default 0;

-- Webhook steps are few among messages, and every plan asks what became of them.
create index intents_to_call on intents (intent_id) where channel = 'webhook';

-- a person's decision on a draft: approved, rejected
create table approvals (
    seq integer primary key autoincrement,
    intent_id text not null,
    decision text not null,
    who text not null,
    reason text not null,
    decided_at bigint not null
);

create index approvals_by_intent on approvals (intent_id);

-- what a plan did to a person without calling anybody: kind update (name: attribute, value: JSON text), add or
-- remove (name: segment)
create table acts (
    seq integer primary key autoincrement,
    intent_id text not null,
    plan_id text not null,
    person_id bigint not null,
    campaign text not null,
    step text not null,
    kind text not null,
    name text not null,
    value text,
    unique (intent_id, kind, name)
);

-- the last answer to a webhook step; body: JSON text, null when there was none or it was not kept. Holds what the
-- receiver said, so it is never mirrored.
create table responses (
    seq integer primary key autoincrement,
    intent_id text not null unique,
    enrollment_id text not null,
    step text not null,
    status_code integer not null,
    body text,
    recorded_at bigint not null
);

-- broadcast by command that was begun; the same key never again with other data
create table broadcasts (
    seq integer primary key autoincrement,
    campaign text not null,
    key text not null,
    fingerprint text not null,
    n_rows integer not null,
    who text not null,
    begun_at bigint not null,
    unique (campaign, key)
);
