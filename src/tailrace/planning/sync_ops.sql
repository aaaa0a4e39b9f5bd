-- One row per key that the destination must hear of: what is desired differs from what it has acknowledged. Removals come
-- last; the rows stand in the order in which they are said.
-- A row that it refused is left alone until the row changes or the wait is over. What is held and no longer desired is
-- removed by a mirror only. `append` says a key once: what may be there already it says again only to who recognises it.
select
    coalesce(desired.key, acknowledged.key) as key,
    case
        when desired.key is null then 'remove'
        when $mode = 'update_only' then 'update'
        when coalesce(acknowledged.row_hash, '?') = '?' then 'add'
        else 'update'
    end as op,
    desired.row_hash,
    desired.data
from desired
full outer join acknowledged on acknowledged.key = desired.key
where desired.row_hash is distinct from acknowledged.row_hash
    and not coalesce(
        acknowledged.rejected_hash = coalesce(desired.row_hash, '')
        and acknowledged.rejected_at > $as_of - to_hours($patience),
        false
    )
    and case
        when desired.key is null then $mode = 'mirror' and acknowledged.row_hash is not null
        when $mode = 'append'
            then acknowledged.row_hash is null or (acknowledged.row_hash = '?' and $is_idempotent)
        else true
    end
order by op = 'remove', key
