-- One row per message that waits for a person's approval, in the order of applying; of one campaign if it is given.
select
    intents.intent_id,
    intents.plan_id,
    intents.person_id,
    intents.campaign,
    intents.step,
    intents.channel,
    intents.message,
    intents.deliver_after,
    intents.expires_at,
    plans.applied_at
from states
inner join intents on intents.intent_id = states.item_id
inner join plans on plans.plan_id = intents.plan_id
where states.state = 'draft'
    and states.kind = 'message'
    and (cast($campaign as text) is null or intents.campaign = $campaign)
order by intents.seq
limit $limit
