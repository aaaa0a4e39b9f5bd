-- One row per active or entering enrollment that its goal ends: a move out of the campaign.
with passes as (
    select
        enrollment_id,
        person_id,
        step
    from enrolled
    where status = 'active' and version = $version
    union all
    select
        enrollment_id,
        person_id,
        null as step
    from entries
    where refused is null and $is_current
)

select
    passes.enrollment_id,
    $campaign as campaign,
    $version as version,
    passes.person_id,
    0 as position,
    passes.step as from_step,
    null as to_step,
    'converted' as why
from passes
inner join reached on reached.enrollment_id = passes.enrollment_id
where reached.is_exit
