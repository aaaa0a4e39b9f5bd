-- One row per event that a goal asks for, by now.
select
    event,
    person_id,
    event_at,
    {properties} as properties
from wh.core.fct_events
where list_contains($events::varchar[], event)
    and type = 'track'
    and person_id is not null
    and event_at <= $as_of
