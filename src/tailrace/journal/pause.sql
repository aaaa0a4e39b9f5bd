-- The one connection: nobody calls it before then. A longer pause that somebody was asked for stands.
insert into rates (name, free_at, paused_until)
values ($name, 0, $until)
on conflict (name) do update set
    paused_until = case when rates.paused_until > $until then rates.paused_until else $until end
