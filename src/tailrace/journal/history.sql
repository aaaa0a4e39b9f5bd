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
    item_id,
    claimed_at,
    'claimed',
    attempt,
    '',
    destination,
    1
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
    2
from outcomes
where item_id = $item_id
order by attempt, place, at
