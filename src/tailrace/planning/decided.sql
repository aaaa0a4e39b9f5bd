-- One row per thing that a plan decided: a verdict, an entry, or the end of a pass; item is the same thing in every plan.
select
    intent_id as item,
    campaign,
    step,
    person_id,
    verdict,
    coalesce(reason, '') as reason
from {verdicts} as verdicts
union all
select
    md5(concat_ws(chr(31), campaign, '(entry)', enrollment_id)) as item,
    campaign,
    '(entry)' as step,
    person_id,
    'enter' as verdict,
    '' as reason
from {transitions} as transitions
where from_step is null and why <> 'corrected'
union all
select
    md5(concat_ws(chr(31), campaign, '(end)', enrollment_id)) as item,
    campaign,
    '(end)' as step,
    person_id,
    'end' as verdict,
    why as reason
from {transitions} as transitions
where to_step is null
