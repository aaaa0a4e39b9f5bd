-- One row per person and attribute or manual segment that campaigns changed: the last word on it at as_of.
-- An act is about whom it was done to, whoever that is now.
-- about: attribute, segment. act: update, add, remove. What a plan does holds from its own as_of on.
with acts as (
    select
        coalesce(merged.into_person_id, done.person_id) as person_id,
        case when done.kind = 'update' then 'attribute' else 'segment' end as about,
        done.name,
        done.kind as act,
        done.value,
        done.campaign,
        done.acted_at,
        row_number() over (
            partition by
                coalesce(merged.into_person_id, done.person_id),
                case when done.kind = 'update' then 'attribute' else 'segment' end,
                done.name
            order by done.acted_at desc, done.seq desc
        ) as nth
    from {{ ref('stg_landing__acts') }} as done
    left join {{ ref('fct_person_merges') }} as merged on done.person_id = merged.person_id
    where done.acted_at <= {{ as_of() }}
)

select
    person_id,
    about,
    name,
    act,
    value,
    campaign,
    acted_at
from acts
where nth = 1
