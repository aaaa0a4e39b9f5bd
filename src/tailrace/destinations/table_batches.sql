-- One row per run of rows of a batch that were appended together, so that none of them is appended again.
create table if not exists {batches} (
    batch_id text not null,
    first_position integer not null,
    last_position integer not null,
    written_at timestamptz not null,
    primary key (batch_id, first_position)
)
