-- One outcome per message to the people in erased_people that is not over: nothing more goes to them.
insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)
select
    states.item_id,
    states.kind,
    states.attempt,
    'cancelled',
    'erased',
    states.maybe_at,
    $now
from states
inner join intents on intents.intent_id = states.item_id
where intents.person_id in (select person_id from erased_people)
    and states.state in ('draft', 'pending', 'claimed', 'unknown')
