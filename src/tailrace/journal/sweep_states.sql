-- One row per claim of a dead sender: a sync batch goes back (repeating it is harmless), and so does a message whose
-- destination recognises repeats, bound to that destination; any other message is unknown.
update states
set
    state = case when kind = 'batch' or attempts.is_idempotent = 1 then 'pending' else 'unknown' end,
    maybe_at = case when kind = 'message' and attempts.is_idempotent = 1 then attempts.destination end,
    next_at = $now
from attempts
where attempts.item_id = states.item_id
    and attempts.attempt = states.attempt
    and states.state = 'claimed'
    and states.epoch < $epoch
returning states.state
