-- What people chose to send although a backfill came too late for it, for the next plan to consider. Only ever appended
-- to, but for what is forgotten of people who are erased.

-- a choice: `send now`, for messages that a backfill's corrections name
create table choices (
    seq integer primary key autoincrement,
    backfill text not null,
    who text not null,
    reason text not null,
    chosen_at bigint not null
);

-- pass of a choice, with the message at which it is to go on (step) and when that was due. occurrence, object_id,
-- source and event_id (what began it) are null when the person was erased; occurrence is never null otherwise
create table chosen (
    seq integer primary key autoincrement,
    choice_seq integer not null,
    enrollment_id text not null,
    campaign text not null,
    step text not null,
    person_id bigint not null,
    occurrence text,
    entered_at bigint not null,
    due_at bigint not null,
    object_id text,
    source text,
    event_id text,
    unique (choice_seq, enrollment_id)
);

create index chosen_by_person on chosen (person_id);

-- the plan that considered a choice
create table choice_uses (
    choice_seq integer primary key,
    plan_id text not null
);
