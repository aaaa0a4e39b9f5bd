-- One row per pass of a campaign that belongs to another person now than the parent plan knew.
-- Who was in the campaign as themself keeps their arm. A pass that a merge brought, which is none any more, goes back: its id
-- says by which user id it began.
with changing as (
    select
        kept.*,
        coalesce(merges_undone.now_person_id, merges.into_person_id) as now_person_id
    from {kept} as kept
    left join merges on merges.person_id = kept.person_id
    left join merges_undone
        on merges_undone.into_person_id = kept.person_id
            and kept.enrollment_id = md5(
                concat_ws(chr(31), $campaign, merges_undone.person_id::varchar, kept.occurrence)
            )
    where merges.person_id is not null or merges_undone.person_id is not null
),

own as (
    select
        person_id,
        min(arm) as arm
    from {kept} as kept
    where person_id in (select now_person_id from changing)
    group by person_id
)

select
    changing.* exclude (now_person_id) replace (
        changing.now_person_id as person_id,
        case when changing.status = 'active' then coalesce(own.arm, changing.arm) else changing.arm end as arm
    ),
    changing.person_id as was_person_id
from changing
left join own on own.person_id = changing.now_person_id
where changing.now_person_id <> changing.person_id
