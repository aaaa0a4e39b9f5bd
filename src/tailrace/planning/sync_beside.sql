-- One row: what a sync that removes nothing, or says each key once, leaves as it is.
-- left: held, and no longer desired. changed: desired in another form than the one that an append has said.
select
    count(*) filter (desired.key is null and acknowledged.row_hash is not null) as left,
    count(*) filter (
        $mode = 'append' and acknowledged.row_hash <> '?' and acknowledged.row_hash <> desired.row_hash
    ) as changed
from acknowledged
left join desired on desired.key = acknowledged.key
