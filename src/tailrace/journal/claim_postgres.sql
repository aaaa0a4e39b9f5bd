-- One row per item of the list $items (JSON) that may still be claimed, and is: pending, due, not expired, and not bound
-- to another destination. Whoever claims at the same time does not wait here: what another one has locked is left out.
-- Locking a row looks at it as it is now, so what another one has claimed meanwhile is left out too.
update states
set
    state = 'claimed',
    attempt = attempt + 1,
    epoch = $epoch
where item_id = any(array(
    select item_id
    from states
    where item_id = any(array(select jsonb_array_elements_text(cast($items as jsonb))))
        and state = 'pending'
        and next_at <= $now
        and (expires_at is null or expires_at >= $now)
        and (maybe_at is null or (maybe_at = $destination and $is_idempotent = 1))
    for update skip locked
))
returning item_id, attempt
