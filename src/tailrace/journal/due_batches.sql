-- One row per sync batch of a plan that is due now, in the order in which its destination must hear them: those that
-- remove (priority 1) first. is_behind: of its sync one that removes is not settled. Every $of-th from $number on.
with removing as (
    select distinct batches.sync
    from states
    inner join batches on batches.batch_id = states.item_id
    where states.state in ('pending', 'claimed')
        and states.kind = 'batch'
        and states.lane = $lane
        and states.priority > 0
        and batches.plan_id = $plan_id
)

select
    states.item_id,
    batches.plan_id,
    states.lane,
    states.attempt,
    states.tries,
    states.expires_at,
    states.priority,
    states.place,
    batches.sync in (select removing.sync from removing) as is_behind,
    batches.sync,
    batches.batch_no,
    batches.n_rows,
    batches.target
from states
inner join batches on batches.batch_id = states.item_id
where states.state = 'pending'
    and states.kind = 'batch'
    and states.lane = $lane
    and states.next_at <= $now
    and batches.plan_id = $plan_id
    and (states.priority < $priority or (states.priority = $priority and states.place > $place))
    and states.place - (states.place / $of) * $of = $number
order by states.priority desc, states.place
limit $limit
