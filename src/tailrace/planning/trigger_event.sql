-- One row per person with a matching event that no earlier plan could have seen, the earliest one.
-- New are the events of loads that landed since the parent plan, and older loads' events whose time has come since.
with matching as (
    select
        person_id,
        event_at,
        properties,
        landed_at - event_at > to_seconds($late) as is_late,
        row_number() over (partition by person_id order by event_at, event_id, source) as place
    from wh.core.fct_events
    where event = $event
        and type = 'track'
        and person_id is not null
        and not is_history
        and event_at <= $as_of
        and (event_at > $parent_as_of::timestamp or $parent_as_of is not null and load_seq in (select load_seq from new_loads))
        and {where}
)

select
    person_id,
    '' as occurrence,
    event_at as due_at,
    properties as event,
    case when is_late then 'late' end as refused
from matching
where place = 1
