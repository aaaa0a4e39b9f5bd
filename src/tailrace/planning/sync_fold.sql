-- One row per key: the parent's acknowledged rows with the outcomes that came in since folded over them.
-- The latest outcome of a key counts: the one whose recency is 1. After `unknown` the destination may hold the row or not:
-- its hash is then `?`, which differs from every row, so that the row is said again while it is desired and removed when it
-- is not. A row of which the destination says that it is not there (code `not_found`) is not held, whatever was asked of
-- it. What was said of who was erased since is nobody's.
with answered as (
    select
        ops.key,
        ops.op,
        ops.row_hash,
        ops.columns,
        ops.cells,
        answers.outcome,
        answers.code,
        answers.answered_at,
        {recency} as recency
    from answers
    inner join ops
        on ops.plan_id = answers.plan_id
        and ops.batch_no = answers.batch_no
        and ops.position = answers.position
    where answers.outcome in ('accepted', 'rejected', 'unknown')
        and ops.key <> '{"erased":true}'
),

latest as (
    select
        key,
        row_hash,
        columns,
        cells,
        code,
        answered_at,
        outcome = 'unknown' as is_unknown,
        outcome = 'accepted' and op <> 'remove' as is_held,
        outcome = 'rejected' and not (op = 'remove' and split_part(code, ':', 1) = 'not_found') as is_refused,
        (op = 'remove' and outcome = 'accepted') or (outcome = 'rejected' and split_part(code, ':', 1) = 'not_found') as is_gone
    from answered
    where recency = 1
),

folded as (
    select
        coalesce(latest.key, before.key) as key,
        case
            when latest.is_unknown then '?'
            when latest.is_held then latest.row_hash
            when latest.is_gone then null
            else before.row_hash
        end as row_hash,
        case
            when latest.key is null then before.rejected_hash
            when latest.is_refused then coalesce(latest.row_hash, '')
        end as rejected_hash,
        case
            when latest.key is null then before.rejected_at
            when latest.is_refused then latest.answered_at
        end as rejected_at,
        case
            when latest.key is null then before.rejected_code
            when latest.is_refused then latest.code
        end as rejected_code,
        case
            when latest.is_held then latest.columns
            when coalesce(latest.is_unknown or latest.is_gone, false) then null
            else before.columns
        end as columns,
        case
            when latest.is_held then latest.cells
            when coalesce(latest.is_unknown or latest.is_gone, false) then null
            else before.cells
        end as cells
    from before
    full outer join latest on latest.key = before.key
)

select
    key,
    row_hash,
    rejected_hash,
    rejected_at,
    rejected_code,
    columns,
    cells
from folded
where row_hash is not null or rejected_hash is not null
