-- One row per finished attempt of a sync batch after $after: what its destination said, or that it is not known.
select
    outcomes.seq,
    batches.plan_id,
    batches.sync,
    batches.batch_no,
    batches.n_rows,
    outcomes.outcome,
    outcomes.recorded_at
from outcomes
inner join batches on batches.batch_id = outcomes.item_id
where outcomes.seq > $after
    and outcomes.outcome in ('accepted', 'rejected', 'unknown')
order by outcomes.seq
