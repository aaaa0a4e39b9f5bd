-- One row per person and matching event that no earlier plan could have seen.
-- New are the events of loads that landed since the parent plan, and older loads' events whose time has come since.
select
    {person} as person_id,
    {occurrence} as occurrence,
    happened.event_at as due_at,
    happened.event_id || ':' || happened.source as tie,
    happened.properties as event,
    {object_id} as object_id,
    case when happened.landed_at - happened.event_at > to_seconds($late) then 'late' end as refused
from wh.core.fct_events as happened
{people}
where happened.event = $event
    and happened.type = 'track'
    and {person} is not null
    and not happened.is_history
    and happened.event_at <= $as_of
    and (
        happened.event_at > $parent_as_of::timestamp
        or ($parent_as_of is not null and happened.load_seq in (select load_seq from new_loads))
    )
    and {where}
