-- One row per move beyond a message that is deferred: the person rests there until it is decided.
-- Who was resting at that message already has made no move to it: all their moves are beyond.
with deferred as (
    select
        enrollment_id,
        step
    from candidates
    where campaign = $campaign and refused in ('paused', 'awaiting_approval') and step <> '(entry)'
),

reached_now as (
    select
        deferred.enrollment_id,
        min(coalesce(moves.position, -1)) as position
    from deferred
    left join moves on moves.enrollment_id = deferred.enrollment_id and moves.to_step = deferred.step
    group by deferred.enrollment_id
)

select
    moves.enrollment_id,
    moves.to_step,
    moves.position
from moves
inner join reached_now on reached_now.enrollment_id = moves.enrollment_id
where moves.position > reached_now.position
