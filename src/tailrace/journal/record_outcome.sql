-- The one attempt: what became of it.
insert into outcomes (item_id, kind, attempt, outcome, code, provider_id, destination, recorded_at)
select
    attempts.item_id,
    states.kind,
    attempts.attempt,
    $outcome,
    $code,
    $provider_id,
    attempts.destination,
    $at
from attempts
inner join states on states.item_id = attempts.item_id
where attempts.item_id = $item_id
    and attempts.attempt = $attempt
