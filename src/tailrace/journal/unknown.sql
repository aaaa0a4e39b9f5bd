-- One row per message whose fate is not known, the oldest first. Intents that only the copy knew have no campaign.
select
    states.item_id,
    states.attempt,
    intents.person_id,
    intents.campaign,
    intents.step,
    outcomes.destination,
    outcomes.code,
    outcomes.recorded_at
from states
inner join outcomes
    on outcomes.item_id = states.item_id
    and outcomes.seq = (select max(latest.seq) from outcomes as latest where latest.item_id = states.item_id)
left join intents on intents.intent_id = states.item_id
where states.state = 'unknown'
    and states.kind = 'message'
order by outcomes.seq
