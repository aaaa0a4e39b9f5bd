-- The one webhook step: what its receiver answered. There is one answer to a step, the first that ended it.
insert into responses (intent_id, enrollment_id, step, status_code, body, recorded_at)
select
    intent_id,
    enrollment_id,
    step,
    $status,
    $body,
    $at
from intents
where intent_id = $item_id
on conflict (intent_id) do nothing
