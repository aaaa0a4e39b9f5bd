-- The one pending item, if history does not say so since its last attempt: it was not claimed, and why.
insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)
select
    item_id,
    kind,
    attempt,
    'blocked',
    $code,
    $destination,
    $now
from states
where item_id = $item_id
    and state = 'pending'
    and not exists (
        select 1
        from outcomes
        where outcomes.item_id = states.item_id
            and outcomes.attempt = states.attempt
            and outcomes.outcome = 'blocked'
            and outcomes.code = $code
    )
