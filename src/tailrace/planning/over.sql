-- One row per pass that this run ends before it walks: a move out of the campaign.
select
    enrollment_id,
    campaign,
    version,
    person_id,
    -1 as position,
    step as from_step,
    null as to_step,
    over as why
from passes
where over is not null
