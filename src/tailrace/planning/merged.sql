-- One row per user id that this plan finds to be another's, and per pass that changed hands or ends because of it.
select
    merges.person_id,
    merges.into_person_id,
    null::varchar as campaign,
    null::varchar as enrollment_id,
    null::varchar as step,
    'merged' as effect
from merges
where not exists (
    select 1 from {before} as before
    where before.person_id = merges.person_id and before.into_person_id = merges.into_person_id
)

union all

select
    coalesce(repointed.was_person_id, doubles.person_id) as person_id,
    coalesce(repointed.person_id, doubles.person_id) as into_person_id,
    coalesce(repointed.campaign, doubles.campaign) as campaign,
    coalesce(repointed.enrollment_id, doubles.enrollment_id) as enrollment_id,
    coalesce(repointed.step, doubles.step) as step,
    case
        when doubles.enrollment_id is not null then 'ends'
        when repointed.status = 'active' then 'goes_on'
        else 'is_over'
    end as effect
from repointed
full outer join doubles
    on doubles.campaign = repointed.campaign and doubles.enrollment_id = repointed.enrollment_id
order by person_id, into_person_id, campaign nulls first, enrollment_id
