-- One row per person who is in the segment now.
select
    person_id,
    $occurrence as occurrence,
    $as_of::timestamp as due_at,
    '' as tie,
    null::varchar as event,
    null::varchar as object_id,
    null::varchar as refused
from current
where {member}
