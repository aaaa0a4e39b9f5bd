-- One row per person who is made of other user ids than in the parent plan.
select merges.into_person_id as person_id
from merges
where not exists (
    select 1 from {before} as before
    where before.person_id = merges.person_id and before.into_person_id = merges.into_person_id
)
union
select now_person_id
from merges_undone
union
select coalesce(merges.into_person_id, merges_undone.into_person_id)
from merges_undone
left join merges on merges.person_id = merges_undone.into_person_id
