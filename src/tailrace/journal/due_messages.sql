-- One row per intent of a channel that may be claimed now, the most urgent first, after the last one that was seen;
-- every $of-th from $number on.
select
    states.item_id,
    intents.plan_id,
    states.lane,
    states.attempt,
    states.tries,
    states.expires_at,
    states.priority,
    states.place,
    intents.person_id,
    intents.campaign,
    intents.step,
    intents.message,
    intents.class,
    intents.topic
from states
inner join intents on intents.intent_id = states.item_id
where states.state = 'pending'
    and states.kind = 'message'
    and states.lane = $lane
    and states.next_at <= $now
    and (states.expires_at is null or states.expires_at >= $now)
    and (states.priority < $priority or (states.priority = $priority and states.place > $place))
    -- What is left of a whole division, as every database divides.
    and states.place - (states.place / $of) * $of = $number
order by states.priority desc, states.place
limit $limit
