-- One row per pass that begins in this plan.
select
    enrollment_id,
    $campaign as campaign,
    $version as version,
    person_id,
    occurrence,
    due_at as entered_at,
    arm,
    null::varchar as step,
    $as_of::timestamp as arrived_at,
    'active' as status,
    null::timestamp as goal_at,
    event,
    object_id,
    $as_of::timestamp as wake_at,
    true as is_new,
    true as is_changed,
    null::varchar as over
from entries
where refused is null
