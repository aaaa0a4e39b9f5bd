-- One row per claim of a dead sender that has no outcome: it is unknown, and history says so.
insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)
select
    states.item_id,
    states.kind,
    states.attempt,
    'unknown',
    'sender_died',
    attempts.destination,
    $now
from states
inner join attempts
    on attempts.item_id = states.item_id
    and attempts.attempt = states.attempt
where states.state = 'claimed'
    and states.epoch < $epoch
