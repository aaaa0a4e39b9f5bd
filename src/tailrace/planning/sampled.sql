-- One row per campaign, step, verdict, reason and person of a sample: the same people whenever it is drawn.
with considered as (
    select
        campaign,
        step,
        verdict,
        coalesce(reason, '') as reason,
        person_id
    from {verdicts} as verdicts
    union all
    select
        campaign,
        '(entry)' as step,
        'enter' as verdict,
        '' as reason,
        person_id
    from {transitions} as transitions
    where from_step is null and why <> 'corrected'
)

select
    campaign,
    step,
    verdict,
    reason,
    person_id
from (select distinct campaign, step, verdict, reason, person_id from considered)
qualify row_number() over (partition by campaign, step, verdict, reason order by md5(person_id::varchar), person_id) <= $size
order by campaign, step, verdict, reason, md5(person_id::varchar), person_id
