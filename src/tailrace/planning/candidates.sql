-- One row per person who reached a message or an action: what the verdicts judge.
-- What a holdout would have had done to it is one too: it is skipped, and says so.
select
    md5(concat_ws(chr(31), walked.campaign, walked.to_step, walked.enrollment_id)) as intent_id,
    walked.enrollment_id,
    walked.campaign,
    walked.version,
    walked.to_step as step,
    walked.position,
    walked.message,
    walked.person_id,
    deeds.channel,
    deeds.class,
    deeds.priority,
    passes.arm,
    walked.due_at,
    walked.due_at + to_seconds(deeds.expires) as expires_at,
    deeds.refused,
    null::timestamp as next_at,
    passes.event,
    deeds.trigger_segment,
    deeds.object,
    passes.object_id
from walked
inner join passes on passes.enrollment_id = walked.enrollment_id and passes.campaign = walked.campaign
inner join deeds
    on deeds.campaign = walked.campaign and deeds.version = walked.version and deeds.step = walked.to_step
where walked.kind = 'candidate' or (walked.kind = 'act' and passes.arm <> 'treated')
