-- One row per pass of the version whose clock allows it to go on in this run.
select
    enrollment_id,
    person_id,
    arm,
    entered_at,
    step,
    arrived_at
from passes
where campaign = $campaign
    and version = $version
    and status = 'active'
    and not is_new
    and over is null
    and wake_at <= $as_of
