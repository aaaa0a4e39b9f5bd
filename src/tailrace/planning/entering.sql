-- One row per person who enters in this plan and has not reached the goal already.
select
    enrollment_id,
    person_id,
    due_at
from entries
where refused is null
    and not exists (
        select 1 from reached
        where reached.enrollment_id = entries.enrollment_id and reached.is_exit
    )
