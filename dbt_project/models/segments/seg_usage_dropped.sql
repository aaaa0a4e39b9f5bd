-- One row per person whose last seven days are below 40 % of their own usual week.
-- Over up to eight weeks; nobody without two full weeks of history, below five events a week, or already cancelled.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'success@example.com', 'summary': 'Last 7 days below 40 % of their own usual week'},
) }}

select
    features.person_id,
    features.n_usage_events_7d,
    features.n_usage_events_per_prior_week,
    features.days_since_last_usage
from {{ ref('dim_person_features') }} as features
inner join {{ ref('dim_people') }} as people on features.person_id = people.person_id
where features.n_usage_events_per_prior_week >= 5
    and features.n_usage_events_7d < 0.4 * features.n_usage_events_per_prior_week
    and people.subscription_status != 'cancelled'
