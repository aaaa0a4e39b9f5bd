-- One row per pass of the version that begins in this plan and that neither goal nor exit ended at once.
select
    enrollment_id,
    person_id,
    arm,
    entered_at,
    entered_at as due_at
from passes
where campaign = $campaign and version = $version and is_new and over is null
