-- One row per user id that is somebody else's, or nobody else's, than the parent plan knew: whose it was, and is.
select
    before.person_id,
    before.into_person_id,
    coalesce(merges.into_person_id, before.person_id) as now_person_id
from {before} as before
left join merges on merges.person_id = before.person_id
where merges.into_person_id is distinct from before.into_person_id
