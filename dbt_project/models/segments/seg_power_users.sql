-- One row per person who used the product on at least twelve of the last thirty days and is heavy in events too.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'product@example.com', 'summary': 'Used on 12 of 30 days, 40 usage events in 28 days'},
) }}

select
    features.person_id,
    features.n_usage_days_30d,
    features.n_usage_events_28d
from {{ ref('dim_person_features') }} as features
where features.n_usage_days_30d >= 12
    and features.n_usage_events_28d >= 40
