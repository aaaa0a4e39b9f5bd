-- One row per person who churned 7 to 180 days ago, had got something out of the product, and may be written to.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'growth@example.com', 'summary': 'Churned 7 to 180 days ago, was active before, not unsubscribed'},
) }}

select
    states.person_id,
    states.started_at as churned_at,
    people.plan as former_plan
from {{ ref('fct_saas_states') }} as states
inner join {{ ref('dim_people') }} as people on states.person_id = people.person_id
inner join {{ ref('dim_person_features') }} as features on states.person_id = features.person_id
where states.state = 'churned'
    and states.ended_at is null
    and states.started_at <= {{ ago('7 days') }}
    and states.started_at > {{ ago('180 days') }}
    and features.first_value_at is not null
    and not people.is_unsubscribed
