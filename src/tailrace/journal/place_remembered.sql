-- One row per intent of the plan that was known only from the journal's copy: now it has its place, should a person
-- say that it is to be sent.
update states
set
    lane = intents.channel,
    priority = intents.priority,
    place = intents.seq,
    next_at = intents.deliver_after,
    expires_at = intents.expires_at
from intents
where intents.intent_id = states.item_id
    and intents.plan_id = $plan
    and states.kind = 'message'
    and states.lane = ''
