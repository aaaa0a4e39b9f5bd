-- One row per event that a goal asks for, by now.
select
    person_id,
    event_at
from wh.core.fct_events
where event = $event
    and type = 'track'
    and person_id is not null
    and event_at <= $as_of
    and {where}
