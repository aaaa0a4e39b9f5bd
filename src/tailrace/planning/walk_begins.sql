-- One row per pass that may go on in this run: at the step where it rests or, when it begins, at the first one.
select
    campaign,
    version,
    enrollment_id,
    person_id,
    arm,
    entered_at,
    step,
    null::varchar as why,
    arrived_at,
    arrived_at as due_at
from flight
union all
select
    entering.campaign,
    entering.version,
    entering.enrollment_id,
    entering.person_id,
    entering.arm,
    entering.entered_at,
    steps.step,
    'entered',
    $as_of::timestamp,
    entering.due_at
from entering
inner join steps
    on steps.campaign = entering.campaign and steps.version = entering.version and steps.position = 0
