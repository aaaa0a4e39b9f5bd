-- One row per person who reached a message of this version: what the verdicts judge.
with passes as (
    select
        enrollment_id,
        arm,
        event
    from enrolled
    union all
    select
        enrollment_id,
        arm,
        event
    from entries
    where refused is null
)

select
    md5(concat_ws(chr(31), $campaign, walked.to_step, walked.enrollment_id)) as intent_id,
    walked.enrollment_id,
    $campaign as campaign,
    $version as version,
    walked.to_step as step,
    walked.message,
    walked.person_id,
    'email' as channel,
    $class as class,
    $priority::integer as priority,
    passes.arm,
    walked.due_at,
    walked.due_at + to_seconds($expires) as expires_at,
    $refused as refused,
    passes.event,
    $segment as trigger_segment
from walked
inner join passes on passes.enrollment_id = walked.enrollment_id
where walked.kind = 'candidate'
