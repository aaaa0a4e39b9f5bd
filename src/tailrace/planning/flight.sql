-- One row per pass whose clock allows it to go on in this run, of all campaigns; one that `send now` begins stands at a
-- step already.
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
    and (not is_new or step is not null)
    and over is null
    and wake_at <= $as_of
