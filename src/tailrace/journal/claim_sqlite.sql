-- One row per item of the list $items (JSON) that may still be claimed, and is: pending, due, not expired, and not bound
-- to another destination. The plus keeps SQLite from looking for them among all that are pending.
update states
set
    state = 'claimed',
    attempt = attempt + 1,
    epoch = $epoch
where item_id in (select value from json_each($items))
    and +state = 'pending'
    and next_at <= $now
    and (expires_at is null or expires_at >= $now)
    and (maybe_at is null or (maybe_at = $destination and $is_idempotent = 1))
returning item_id, attempt
