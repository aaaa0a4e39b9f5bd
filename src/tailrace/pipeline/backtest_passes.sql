-- One row per pass that began on the branch; noticed_at: the instant that began it.
create temp table entered_passes as
select
    passes.enrollment_id,
    passes.person_id,
    passes.occurrence,
    passes.entered_at,
    moves.as_of as noticed_at,
    passes.arm,
    passes.status,
    passes.step,
    passes.goal_at
from {enrollments} as passes
-- Who reached the goal, or met an exit, as they began comes from nowhere too, and rests nowhere.
inner join moves on moves.enrollment_id = passes.enrollment_id and moves.from_step is null
