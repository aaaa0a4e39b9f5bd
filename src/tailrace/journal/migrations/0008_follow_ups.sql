-- What destinations said later of what they had accepted, where they work on it for hours. Only ever appended to.

-- the last word on an outcome of a batch, said after it
create table follow_ups (
    outcome_seq integer primary key,
    outcome text not null,
    code text not null,
    recorded_at bigint not null
);
