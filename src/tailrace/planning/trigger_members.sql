-- One row per person who is in the segment now: for a campaign that goes live with `existing: enroll`.
select
    person_id,
    '' as occurrence,
    $as_of::timestamp as due_at,
    null::varchar as event,
    null::varchar as refused
from current
where ({column} & {mask}::ubigint) <> 0
