-- One row per pass that `send now` was chosen for and that does not begin: nobody is dropped silently.
select
    md5(concat_ws(chr(31), $campaign, $step, enrollment_id)) as intent_id,
    enrollment_id,
    $campaign as campaign,
    $version as version,
    $step as step,
    -1 as position,
    null as message,
    person_id,
    null as channel,
    $class as class,
    $priority::integer as priority,
    null as arm,
    due_at,
    null as expires_at,
    refused,
    null::timestamp as next_at,
    null as event,
    null as trigger_segment,
    null as object,
    null as object_id
from corrections
where refused is not null
