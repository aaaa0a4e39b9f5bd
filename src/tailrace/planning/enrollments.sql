-- One row per enrollment of the campaign after this plan: the parent's, moved, and those who entered.
with last_move as (
    select
        enrollment_id,
        arg_max(to_step, position) as to_step,
        max_by(why, position) as why
    from moves
    where campaign = $campaign
    group by enrollment_id
),

before as (
    select
        enrollment_id,
        version,
        person_id,
        occurrence,
        entered_at,
        arm,
        step,
        arrived_at,
        status,
        goal_at,
        event
    from enrolled
    union all
    select
        enrollment_id,
        $version as version,
        person_id,
        occurrence,
        due_at as entered_at,
        arm,
        null as step,
        $as_of as arrived_at,
        'active' as status,
        null as goal_at,
        event
    from entries
    where refused is null
)

select
    before.enrollment_id,
    $campaign as campaign,
    before.version,
    before.person_id,
    before.occurrence,
    before.entered_at,
    before.arm,
    case
        when before.status <> 'active' or reached.is_exit or last_move.why in ('completed', 'ended') then null
        else coalesce(last_move.to_step, before.step)
    end as step,
    case when last_move.enrollment_id is not null then $as_of else before.arrived_at end as arrived_at,
    case
        when before.status <> 'active' then before.status
        when reached.is_exit then 'converted'
        when last_move.why in ('completed', 'ended') then last_move.why
        else 'active'
    end as status,
    coalesce(before.goal_at, reached.goal_at) as goal_at,
    before.event
from before
left join last_move on last_move.enrollment_id = before.enrollment_id
left join reached on reached.enrollment_id = before.enrollment_id
order by before.enrollment_id
