-- What people want said to a destination again, all of it. Only ever appended to.

-- a person's word that the next plan is to say everything of a sync again
create table resyncs (
    seq integer primary key autoincrement,
    sync text not null,
    who text not null,
    reason text not null,
    asked_at bigint not null
);

-- the plan that said it again
create table resync_uses (
    resync_seq integer primary key,
    plan_id text not null
);
