-- One row per person whose last seven days are below 40 % of their own usual week.
-- Compared with up to eight weeks before; nobody is in without two full weeks of history, or below five events a week.
{{ config(meta={'owner': 'success@example.com', 'summary': 'Last 7 days below 40 % of their own usual week'}) }}

select
    features.person_id,
    features.n_usage_events_7d,
    features.n_usage_events_per_prior_week,
    features.days_since_last_usage
from {{ ref('dim_person_features') }} as features
where features.n_usage_events_per_prior_week >= 5
    and features.n_usage_events_7d < 0.4 * features.n_usage_events_per_prior_week
