-- One row per key: the parent's acknowledged rows with the outcomes that came in since folded over them.
-- The latest outcome of a key counts. After `unknown` the destination may hold the row or not: its hash is then `?`, which
-- differs from every row, so that the row is said again while it is desired and removed when it is not.
with answered as (
    select
        ops.key,
        ops.op,
        ops.row_hash,
        answers.outcome,
        answers.answered_at,
        row_number() over (partition by ops.key order by answers.seq desc) as recency
    from answers
    inner join ops
        on ops.plan_id = answers.plan_id
        and ops.batch_no = answers.batch_no
        and ops.position = answers.position
    where answers.outcome in ('accepted', 'rejected', 'unknown')
),

latest as (
    select
        key,
        op,
        row_hash,
        outcome,
        answered_at
    from answered
    where recency = 1
),

folded as (
    select
        coalesce(latest.key, before.key) as key,
        case
            when latest.key is null or latest.outcome = 'rejected' then before.row_hash
            when latest.outcome = 'unknown' then '?'
            when latest.op = 'remove' then null
            else latest.row_hash
        end as row_hash,
        case
            when latest.key is null then before.rejected_hash
            when latest.outcome = 'rejected' then coalesce(latest.row_hash, '')
        end as rejected_hash,
        case
            when latest.key is null then before.rejected_at
            when latest.outcome = 'rejected' then latest.answered_at
        end as rejected_at
    from before
    full outer join latest on latest.key = before.key
)

select
    key,
    row_hash,
    rejected_hash,
    rejected_at
from folded
where row_hash is not null or rejected_hash is not null
order by key
