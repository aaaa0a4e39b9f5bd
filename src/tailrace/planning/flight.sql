-- One row per pass whose clock allows it to go on in this run, of all campaigns.
select
    campaign,
    version,
    enrollment_id,
    person_id,
    arm,
    entered_at,
    step,
    arrived_at
from passes
where status = 'active'
    and not is_new
    and over is null
    and wake_at <= $as_of
