-- One row per paying person of four weeks or more who used the product on fewer than saas_low_usage_days of the last 14 days.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'success@example.com', 'summary': 'Paying, and hardly any use for 14 days'},
) }}

select
    features.person_id,
    features.n_usage_days_14d,
    features.last_usage_at
from {{ ref('dim_person_features') }} as features
inner join {{ ref('dim_people') }} as people on features.person_id = people.person_id
where people.subscription_status in ('active', 'past_due')
    and features.days_since_first_usage >= 28
    and features.n_usage_days_14d < {{ var('saas_low_usage_days') }}
