-- One row per merged person whom the parent plan has in something: in all that any of their user ids was in.
select
    coalesce(merges.into_person_id, unfolded.person_id) as person_id,
    {words}
from unfolded
left join merges on merges.person_id = unfolded.person_id
group by coalesce(merges.into_person_id, unfolded.person_id)
