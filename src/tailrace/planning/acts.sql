-- One row per attribute or segment of a person that a step changes.
select
    md5(concat_ws(chr(31), walked.campaign, walked.to_step, walked.enrollment_id)) as intent_id,
    walked.enrollment_id,
    walked.position,
    walked.person_id,
    walked.campaign,
    walked.to_step as step,
    changes_of.kind,
    changes_of.name,
    changes_of.value
from walked
inner join passes on passes.enrollment_id = walked.enrollment_id and passes.campaign = walked.campaign
inner join changes_of
    on changes_of.campaign = walked.campaign
        and changes_of.version = walked.version
        and changes_of.step = walked.to_step
where walked.kind = 'act' and passes.arm = 'treated'
