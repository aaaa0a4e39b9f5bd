-- One row per claim of a dead sender: what may be repeated goes back, a message bound to its destination, which
-- recognises it; anything else is unknown.
update states
set
    state = case when attempts.is_idempotent = 1 then 'pending' else 'unknown' end,
    maybe_at = case when kind = 'message' and attempts.is_idempotent = 1 then attempts.destination end,
    next_at = $now
from attempts
where attempts.item_id = states.item_id
    and attempts.attempt = states.attempt
    and states.state = 'claimed'
    and states.epoch < $epoch
returning states.state
