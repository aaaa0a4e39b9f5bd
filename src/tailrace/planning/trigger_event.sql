-- One row per person and new event that the trigger asks for.
select
    {person} as person_id,
    {occurrence} as occurrence,
    happened.event_at as due_at,
    happened.event_id || ':' || happened.source as tie,
    happened.properties as event,
    {object_id} as object_id,
    case when happened.landed_at - happened.event_at > to_seconds($late) then 'late' end as refused
from happened
{people}
where happened.event = $event
    and {person} is not null
    and {where}
