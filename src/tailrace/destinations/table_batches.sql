-- One row per call that appended rows: which rows of which batch, so that none is appended again.
create table if not exists {batches} (
    batch_id text not null,
    positions integer[] not null,
    written_at timestamptz not null default now(),
    primary key (batch_id, positions)
)
