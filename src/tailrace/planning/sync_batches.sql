-- One row per row of `said`, with its place: batches of {batch_size} rows, those of removals after those of the {n_set} others.
select
    {sync} as sync,
    key,
    op,
    row_hash,
    data,
    (
        case
            when op = 'remove' then (rowid - {n_set}) // {batch_size} + ceil({n_set} / {batch_size})
            else rowid // {batch_size}
        end
    )::integer as batch_no,
    (case when op = 'remove' then rowid - {n_set} else rowid end % {batch_size})::integer as position
from said
