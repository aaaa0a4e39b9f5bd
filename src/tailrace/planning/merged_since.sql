-- One row per person who is made of other user ids than in the parent plan, or became so while a segment was parked.
select person_id
from merged_now
union
select coalesce(merges.into_person_id, waiting.person_id) as person_id
from {waiting} as waiting
left join merges on merges.person_id = waiting.person_id
