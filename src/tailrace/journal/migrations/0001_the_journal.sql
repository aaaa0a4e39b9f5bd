-- The journal as it begins. Times are microseconds since 1970 in UTC; people are ids; nothing here holds an address.
-- Everything but `states` is only ever appended to.

-- one row: which journal this is
create table journal (
    journal_id text primary key,
    created_at bigint not null
);

-- applied plan
create table plans (
    seq integer primary key autoincrement,
    plan_id text not null unique,
    parent_id text,
    as_of bigint not null,
    applied_at bigint not null
);

-- message that a plan wants a person to get; its id comes from its meaning, so the key is what stops a second one
create table intents (
    seq integer primary key autoincrement,
    intent_id text not null unique,
    plan_id text not null,
    campaign text not null,
    version text not null,
    step text not null,
    enrollment_id text not null,
    person_id bigint not null,
    channel text not null,
    message text not null,
    class text not null,
    priority integer not null,
    deliver_after bigint not null,
    expires_at bigint
);

create index intents_by_person on intents (person_id);

create index intents_by_plan on intents (plan_id);

-- batch of rows that a plan wants a destination to hear
create table batches (
    seq integer primary key autoincrement,
    batch_id text not null unique,
    plan_id text not null,
    sync text not null,
    batch_no integer not null,
    destination text not null,
    target text not null,
    n_rows integer not null
);

-- intent or batch, where it stands now: what the history below adds up to.
-- lane: an intent's channel, a batch's destination. place: the order in its lane. tries: attempts that ended in retry_later through its own fault.
-- maybe_at: a destination that may have had it already and that may hear it again (it recognises repeats).
create table states (
    item_id text primary key,
    kind text not null,
    lane text not null,
    state text not null,
    attempt integer not null,
    tries integer not null,
    epoch integer,
    maybe_at text,
    priority integer not null,
    place bigint not null,
    next_at bigint not null,
    expires_at bigint
);

-- In the order in which senders ask, so that a page costs its own length, however many are pending.
create index states_by_turn on states (state, kind, lane, priority desc, place);

-- claim of an item by a sender, before any byte of it left
create table attempts (
    seq integer primary key autoincrement,
    item_id text not null,
    attempt integer not null,
    epoch integer not null,
    destination text not null,
    is_idempotent integer not null,
    claimed_at bigint not null,
    unique (item_id, attempt)
);

-- what became of an item; attempt 0 when it was never claimed
create table outcomes (
    seq integer primary key autoincrement,
    item_id text not null,
    kind text not null,
    attempt integer not null,
    outcome text not null,
    code text not null,
    provider_id text,
    destination text,
    recorded_at bigint not null
);

create index outcomes_by_item on outcomes (item_id);

-- row of a batch whose outcome differs from its batch's
create table row_outcomes (
    outcome_seq integer not null,
    position integer not null,
    outcome text not null,
    code text not null,
    primary key (outcome_seq, position)
);

-- a person's word on what became of an unknown
create table settlements (
    seq integer primary key autoincrement,
    item_id text not null,
    attempt integer not null,
    outcome text not null,
    who text not null,
    reason text not null,
    settled_at bigint not null
);

-- a person's word that a guard may let its subject pass once
create table guard_releases (
    seq integer primary key autoincrement,
    guard text not null,
    subject text not null,
    plan_id text not null,
    measured double precision not null,
    who text not null,
    reason text not null,
    released_at bigint not null
);

-- release that an applied plan used up
create table guard_uses (
    release_seq integer primary key,
    plan_id text not null
);

-- the live lease taken or given up; the last row counts
create table live_lease (
    seq integer primary key autoincrement,
    action text not null,
    host text not null,
    path text not null,
    device bigint not null,
    inode bigint not null,
    who text not null,
    reason text not null,
    at bigint not null
);

-- sender; only the last one may claim and record
create table epochs (
    epoch integer primary key autoincrement,
    host text not null,
    pid integer not null,
    started_at bigint not null
);

-- a person's word that this journal goes on although its copy knows more
create table copy_acceptances (
    seq integer primary key autoincrement,
    who text not null,
    reason text not null,
    n_claims integer not null,
    accepted_at bigint not null
);
