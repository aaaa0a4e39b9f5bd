-- One row per person who reached a message or an action of this version: what the verdicts judge.
-- What a holdout would have had done to it is one too: it is skipped, and says so.
select
    md5(concat_ws(chr(31), $campaign, walked.to_step, walked.enrollment_id)) as intent_id,
    walked.enrollment_id,
    $campaign as campaign,
    $version as version,
    walked.to_step as step,
    walked.position,
    walked.message,
    walked.person_id,
    deeds.channel,
    deeds.class,
    $priority::integer as priority,
    passes.arm,
    walked.due_at,
    walked.due_at + to_seconds($expires) as expires_at,
    $refused::varchar as refused,
    null::timestamp as next_at,
    passes.event,
    $segment::varchar as trigger_segment,
    $object::varchar as object,
    passes.object_id
from walked
inner join passes on passes.enrollment_id = walked.enrollment_id and passes.campaign = $campaign
inner join deeds on deeds.step = walked.to_step
where walked.kind = 'candidate' or (walked.kind = 'act' and passes.arm <> 'treated')
