-- The one connection: room for calls is reserved from when it is free, or from now. What is further ahead than anybody
-- reserves was written by a clock that went wrong, and is passed over.
insert into rates (name, free_at, paused_until)
values ($name, $now + $span, 0)
on conflict (name) do update set
    free_at = case
        when rates.free_at < $now or rates.free_at > $now + $horizon then $now
        else rates.free_at
    end + $span
returning free_at
