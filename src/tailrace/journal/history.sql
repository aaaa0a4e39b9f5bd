-- One row per thing that happened to an item.
select
    intents.intent_id as item_id,
    plans.applied_at as at,
    'applied' as what,
    0 as attempt,
    intents.plan_id as code,
    null as destination,
    0 as place
from intents
inner join plans on plans.plan_id = intents.plan_id
where intents.intent_id = $item_id
union all
select
    intent_id,
    decided_at,
    decision,
    0,
    'by:' || who,
    null,
    1
from approvals
where intent_id = $item_id
    and decision = 'approved'
union all
select
    item_id,
    claimed_at,
    'claimed',
    attempt,
    '',
    destination,
    2
from attempts
where item_id = $item_id
union all
select
    item_id,
    recorded_at,
    outcome,
    attempt,
    code,
    destination,
    3
from outcomes
where item_id = $item_id
order by attempt, place, at
