-- One row per key that the destination must hear of: what is desired differs from what it has acknowledged.
-- A row that it refused is left alone until the row changes or the wait is over. What is held and no longer desired is
-- removed by a mirror only. `append` says a key once: what may be there already it says again only to who recognises it.
with differing as (
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
),

ordered as (
    select
        key,
        op,
        row_hash,
        data,
        row_number() over (partition by op = 'remove' order by key) - 1 as place,
        op = 'remove' as is_removal
    from differing
),

batched as (
    select
        key,
        op,
        row_hash,
        data,
        is_removal,
        place // $batch_size as batch,
        place % $batch_size as position
    from ordered
)

select
    $sync as sync,
    key,
    op,
    row_hash,
    data,
    (
        batch
        + case when is_removal then coalesce((select max(batch) + 1 from batched where not is_removal), 0) else 0 end
    )::integer as batch_no,
    position::integer as position
from batched
order by batch_no, position
