-- One row per sync of which a destination has said something in outcomes after $after, or may be hearing something now: a
-- plan that knows no later outcome does not know what was said. An outcome that puts all of a batch off says nothing.
select batches.sync
from states
inner join batches on batches.batch_id = states.item_id
where states.kind = 'batch'
    and states.state = 'claimed'
    and batches.plan_id <> $plan
union
select batches.sync
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
