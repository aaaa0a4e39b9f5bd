-- One row per active enrollment of the version that its goal has not ended.
select
    enrollment_id,
    person_id,
    step,
    arrived_at
from enrolled
where version = $version
    and status = 'active'
    and not exists (
        select 1 from reached
        where reached.enrollment_id = enrolled.enrollment_id and reached.is_exit
    )
