-- One row per outcome of a message recorded after $after, oldest first.
select
    outcomes.seq,
    outcomes.item_id as intent_id,
    intents.person_id,
    intents.campaign,
    intents.step,
    intents.channel,
    outcomes.attempt,
    outcomes.outcome,
    outcomes.code,
    outcomes.destination,
    outcomes.provider_id,
    outcomes.recorded_at
from outcomes
left join intents on intents.intent_id = outcomes.item_id
where outcomes.seq > $after
    and outcomes.kind = 'message'
order by outcomes.seq
