-- One row per message of the journal; sent_at: when its destination accepted it, null when it has not.
create temp table sent as
with accepted as (
    select
        intent_id,
        min(recorded_at) as sent_at
    from outcomes
    where outcome = 'accepted'
    group by intent_id
)

select
    intents.intent_id,
    intents.campaign,
    intents.step,
    intents.message,
    intents.channel,
    intents.enrollment_id,
    accepted.sent_at
from intents
left join accepted on accepted.intent_id = intents.intent_id
where intents.message is not null
