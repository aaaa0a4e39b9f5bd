-- One row per attempt of a sync batch after $after of which its destination said something, of all or of some rows, or
-- whose answer is not known.
select
    outcomes.seq,
    batches.plan_id,
    batches.sync,
    batches.batch_no,
    batches.n_rows,
    outcomes.outcome,
    outcomes.code,
    outcomes.recorded_at
from outcomes
inner join batches on batches.batch_id = outcomes.item_id
where outcomes.seq > $after
    and (
        outcomes.outcome in ('accepted', 'rejected', 'unknown')
        or exists (
            select 1
            from row_outcomes
            where row_outcomes.outcome_seq = outcomes.seq
        )
    )
order by outcomes.seq
