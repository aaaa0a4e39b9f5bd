-- grain: none; how many people stand in `members` more than once, one of them, and how many rows name nobody
select
    count(*) filter (where n_rows > 1 and person_id is not null) as n_doubled,
    min(person_id) filter (where n_rows > 1) as one_doubled,
    coalesce(sum(n_rows) filter (where person_id is null), 0) as n_nobody
from (
    select
        person_id,
        count(*) as n_rows
    from members
    group by person_id
)
