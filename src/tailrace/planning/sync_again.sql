-- One row per key of `acknowledged`, so that all of it is said again: what is held differs from every row, and what was
-- refused waits no longer. A row that was refused and is not held is as one that nothing is known of.
select
    key,
    case when row_hash <> '?' and not starts_with(row_hash, $again) then $again || row_hash else row_hash end as row_hash,
    null::varchar as rejected_hash,
    null::timestamp as rejected_at,
    null::varchar as rejected_code,
    columns,
    cells
from acknowledged
where row_hash is not null
