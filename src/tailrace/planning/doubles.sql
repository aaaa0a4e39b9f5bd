-- One row per active pass of a campaign that a merge brought beside a better one of the same person: it ends.
-- Where a person is to pass once (per occurrence), one that is over is better than one that is not; else who is further in
-- the campaign, then who entered earlier. Passes that began under one user id stand side by side as they did. What an earlier
-- merge ended nobody has been through: it ends no other.
with mine as (
    select
        kept.enrollment_id,
        kept.version,
        kept.step,
        kept.person_id,
        kept.entered_at,
        kept.status <> 'active' as is_over,
        case when $each then kept.occurrence end as occurrence,
        coalesce(repointed.was_person_id, kept.person_id) as began_as,
        coalesce(places.position, -1) as position
    from {kept} as kept
    left join repointed on repointed.campaign = $campaign and repointed.enrollment_id = kept.enrollment_id
    left join places on places.version = kept.version and places.step = kept.step
    where kept.person_id in (select person_id from repointed where campaign = $campaign)
        and kept.status <> 'merged'
)

select distinct
    $campaign as campaign,
    worse.enrollment_id,
    worse.version,
    worse.step,
    worse.person_id
from mine as worse
inner join mine as better
    on better.person_id = worse.person_id
        and better.began_as <> worse.began_as
        and better.occurrence is not distinct from worse.occurrence
where not worse.is_over
    and case
        when better.is_over then $once
        when better.position <> worse.position then better.position > worse.position
        when better.entered_at <> worse.entered_at then better.entered_at < worse.entered_at
        else better.enrollment_id < worse.enrollment_id
    end
