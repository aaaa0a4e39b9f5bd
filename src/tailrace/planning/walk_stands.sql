-- One row per pass that may go on in this run, at the step where it stands: numbers instead of names.
select
    walkers.rowid as pass,
    steps.place,
    null::integer as from_place,
    walkers.why,
    walkers.arrived_at,
    walkers.due_at,
    false as is_considered
from walkers
inner join steps
    on steps.campaign = walkers.campaign and steps.version = walkers.version and steps.step = walkers.step
