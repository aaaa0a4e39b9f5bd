-- One row per person who used the app nearly every day of the last thirty, and far more than most.
-- In this app the median account does 170 things a month on 27 days: twelve days and forty things are no distinction.
{{ config(meta={'owner': 'product@example.com', 'summary': 'Used on 28 of 30 days, 600 usage events in 28 days'}) }}

select
    features.person_id,
    features.n_usage_days_30d,
    features.n_usage_events_28d
from {{ ref('dim_person_features') }} as features
where features.n_usage_days_30d >= 28
    and features.n_usage_events_28d >= 600
