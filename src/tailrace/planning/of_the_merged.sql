-- One row per user id of a merged person that the parent plan has in something.
select *
from {held} as held
where person_id in (
    select person_id from merges
    union
    select into_person_id from merges
)
