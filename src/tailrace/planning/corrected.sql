-- One row per pass that `send now` begins: at its message, as if it had rested there since that was due.
select
    enrollment_id,
    $campaign as campaign,
    $version as version,
    person_id,
    occurrence,
    entered_at,
    arm,
    step,
    due_at as arrived_at,
    'active' as status,
    null::timestamp as goal_at,
    event,
    object_id,
    $as_of::timestamp as wake_at,
    true as is_new,
    true as is_changed,
    null::varchar as over
from corrections
where refused is null
