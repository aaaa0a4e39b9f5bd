-- What everybody does in this run, a row each: `strides` by name.
select
    walkers.campaign,
    walkers.version,
    walkers.enrollment_id,
    walkers.person_id,
    coalesce(stepped.position, left_from.n_steps) as position,
    strides.kind,
    left_from.step as from_step,
    stepped.step as to_step,
    strides.why,
    case when strides.kind = 'candidate' then stepped.message end as message,
    strides.name,
    strides.due_at
from strides
inner join walkers on walkers.rowid = strides.pass
left join steps as stepped on stepped.place = strides.place
left join steps as left_from on left_from.place = strides.from_place
