-- One row per person and split whose arm only another of their user ids has.
select
    merges.into_person_id as person_id,
    kept.step,
    arg_min(kept.name, kept.person_id) as name
from {kept} as kept
inner join merges on merges.person_id = kept.person_id
where not exists (
    select 1 from {kept} as own
    where own.person_id = merges.into_person_id and own.step = kept.step
)
group by merges.into_person_id, kept.step
