-- One row per user id that did in the last weeks what the trigger asks for.
select distinct happened.user_id
from read_parquet([{files}]) as happened
where happened.type = 'track' and happened.event = $event and happened.user_id is not null
    and happened.event_at > $usual and happened.event_at <= $as_of and happened.landed_at <= $as_of
    and ({where})
