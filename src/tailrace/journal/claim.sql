-- The one item, if it may still be claimed: pending, due, not expired, and not bound to another destination.
update states
set
    state = 'claimed',
    attempt = attempt + 1,
    epoch = $epoch
where item_id = $item_id
    and state = 'pending'
    and next_at <= $now
    and (expires_at is null or expires_at >= $now)
    and (maybe_at is null or (maybe_at = $destination and $is_idempotent = 1))
returning attempt
