-- One row per person with a pass in arm treated that stands in the campaign after the walk.
with standing as (
    select
        enrollment_id,
        person_id
    from enrolled
    where wake_at < timestamp '9999-12-31'
        and arm = 'treated'
        and not exists (
            select 1 from passes
            where passes.campaign = $campaign and passes.enrollment_id = enrolled.enrollment_id
        )
    union all
    select
        enrollment_id,
        person_id
    from passes
    where campaign = $campaign
        and arm = 'treated'
        and status = 'active'
        and not exists (
            select 1 from moves
            where moves.campaign = $campaign and moves.enrollment_id = passes.enrollment_id and moves.to_step is null
        )
)

select distinct
    $campaign as campaign,
    person_id
from standing
