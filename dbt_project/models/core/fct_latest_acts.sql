-- One row per person and attribute or manual segment that campaigns changed: the last word on it at as_of.
-- about: attribute, segment. act: update, add, remove. What a plan does holds from its own as_of on.
with acts as (
    select
        person_id,
        case when kind = 'update' then 'attribute' else 'segment' end as about,
        name,
        kind as act,
        value,
        campaign,
        acted_at,
        row_number() over (
            partition by person_id, case when kind = 'update' then 'attribute' else 'segment' end, name
            order by acted_at desc, seq desc
        ) as nth
    from {{ ref('stg_landing__acts') }}
    where acted_at <= {{ as_of() }}
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
