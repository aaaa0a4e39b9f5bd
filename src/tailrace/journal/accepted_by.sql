-- One row per destination that has taken over messages to the person.
select
    outcomes.destination,
    count(distinct outcomes.item_id) as n
from outcomes
inner join intents on intents.intent_id = outcomes.item_id
where intents.person_id = $person
    and outcomes.outcome = 'accepted'
    and outcomes.destination is not null
group by outcomes.destination
order by outcomes.destination
