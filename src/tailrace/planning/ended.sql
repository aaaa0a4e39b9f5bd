-- One row per active enrollment of a campaign that has ended: a move out of it.
select
    enrollment_id,
    $campaign as campaign,
    version,
    person_id,
    0 as position,
    step as from_step,
    null as to_step,
    'ended' as why
from enrolled
where status = 'active'
    and not exists (
        select 1 from reached
        where reached.enrollment_id = enrolled.enrollment_id and reached.is_exit
    )
