-- One row per step and two passes of one person through the campaign that began under different user ids, both ways: the
-- intents of the step, which say the same. is_once: what one pass has said, no other is to say, however long ago.
with mine as (
    select
        kept.enrollment_id,
        kept.person_id,
        case when $each then kept.occurrence end as occurrence,
        coalesce(repointed.was_person_id, kept.person_id) as began_as
    from {kept} as kept
    left join repointed on repointed.campaign = $campaign and repointed.enrollment_id = kept.enrollment_id
    where kept.person_id in (select person_id from repointed where campaign = $campaign)
)

select
    md5(concat_ws(chr(31), $campaign, steps.step, mine.enrollment_id)) as intent_id,
    md5(concat_ws(chr(31), $campaign, steps.step, others.enrollment_id)) as other_intent_id,
    $once as is_once
from mine
inner join mine as others
    on others.person_id = mine.person_id
        and others.began_as <> mine.began_as
        and others.occurrence is not distinct from mine.occurrence
cross join (select distinct step from places) as steps
