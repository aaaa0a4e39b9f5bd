-- The one claim, if this sender holds it: where its item stands after its outcome.
update states
set
    state = $state,
    tries = tries + $tries,
    next_at = $next_at,
    maybe_at = case
        when $binds = 1
            then (
                select attempts.destination
                from attempts
                where attempts.item_id = states.item_id
                    and attempts.attempt = states.attempt
            )
        else maybe_at
    end
where item_id = $item_id
    and state = 'claimed'
    and attempt = $attempt
    and epoch = $epoch
