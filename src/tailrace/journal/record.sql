-- The one claim, if this sender holds it: where its item stands after its outcome. A batch may be driven again where a
-- message may not.
update states
set
    state = case when kind = 'batch' then $state_of_batch else $state end,
    tries = tries + case when kind = 'batch' then $tries_of_batch else $tries end,
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
