-- One row per event that a trigger asks for and that no earlier plan could have seen.
-- New are the events of loads that landed since the parent plan, and older loads' events whose time has come since.
select
    event_id,
    source,
    event,
    person_id,
    {group_id} as group_id,
    event_at,
    landed_at,
    properties
from wh.core.fct_events
where list_contains($events::varchar[], event)
    and type = 'track'
    and not is_history
    and event_at <= $as_of
    and (
        event_at > $parent_as_of::timestamp
        or ($parent_as_of is not null and load_seq in (select load_seq from new_loads))
    )
