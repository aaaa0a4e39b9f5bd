-- One row per pass that differs from the parent plan's: where its last move in this run took it.
with moved as (
    select
        passes.* exclude (is_new, is_changed, over, step, arrived_at, status, wake_at),
        case when not coalesce(last_move.is_over, false) and passes.status = 'active'
            then coalesce(last_move.to_step, passes.step)
        end as step,
        case when last_move.enrollment_id is null then passes.arrived_at else $as_of::timestamp end as arrived_at,
        case when last_move.is_over and passes.status = 'active' then last_move.why else passes.status end as status,
        passes.wake_at,
        passes.is_changed or passes.is_new or last_move.enrollment_id is not null as differs
    from passes
    left join last_moves as last_move
        on last_move.campaign = passes.campaign and last_move.enrollment_id = passes.enrollment_id
)

select
    moved.enrollment_id,
    moved.campaign,
    moved.version,
    moved.person_id,
    moved.occurrence,
    moved.entered_at,
    moved.arm,
    moved.step,
    moved.arrived_at,
    moved.status,
    moved.goal_at,
    moved.event,
    moved.object_id,
    case
        when moved.status <> 'active' then {forever}
        else moved.arrived_at + to_seconds(coalesce(clocks.seconds, 0))
    end as wake_at
from moved
left join clocks
    on clocks.campaign = moved.campaign and clocks.version = moved.version and clocks.step = moved.step
where moved.differs
