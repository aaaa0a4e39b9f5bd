-- One row per pass that this run looks at, as the parent plan left it.
select
    enrollment_id,
    campaign,
    version,
    person_id,
    occurrence,
    entered_at,
    arm,
    step,
    arrived_at,
    status,
    goal_at,
    event,
    object_id,
    wake_at,
    false as is_new,
    false as is_changed,
    null::varchar as over
from {kept} as kept
where {which}
