-- One row per sync batch of a plan that may be claimed now, in the order in which its destination must hear them;
-- every $of-th from $number on.
select
    states.item_id,
    batches.plan_id,
    states.lane,
    states.attempt,
    states.tries,
    states.expires_at,
    states.place,
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
    and states.place > $place
    and states.place - (states.place / $of) * $of = $number
order by states.place
limit $limit
