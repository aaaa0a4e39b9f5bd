-- One row per person whose memberships differ from the parent plan's: the words before and after.
select
    coalesce(current.person_id, parent.person_id) as person_id,
    {words}
from current
full outer join parent on parent.person_id = current.person_id
where {differs}
