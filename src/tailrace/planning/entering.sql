-- One row per pass that begins in this plan at its first step and that neither goal nor exit ended at once, of all campaigns.
select
    campaign,
    version,
    enrollment_id,
    person_id,
    arm,
    entered_at,
    entered_at as due_at
from passes
where is_new and step is null and over is null
