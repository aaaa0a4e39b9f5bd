-- What people tried out by hand. None of it is a message of a campaign: nothing counts it, nothing sends it again. Only
-- ever appended to.

-- message that a person sent through a connection to try it; address: a hash that only this journal makes so
create table trials (
    seq integer primary key autoincrement,
    connection text not null,
    channel text not null,
    address text not null,
    who text not null,
    begun_at bigint not null
);

create index trials_by_connection on trials (connection, seq);

-- what became of a trial; of one that has none nobody knows
create table trial_outcomes (
    trial_seq integer primary key,
    outcome text not null,
    code text not null,
    provider_id text,
    recorded_at bigint not null
);
