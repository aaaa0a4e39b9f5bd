-- One row per person who bought on three days or more, and has not for ninety days.
{{ config(meta={'owner': 'shop@example.com', 'summary': 'Regular before, nothing for 90 days'}) }}

select
    features.person_id,
    features.last_usage_at as last_line_at
from {{ ref('dim_person_features') }} as features
where features.n_usage_days_ever >= 3
    and features.last_usage_at <= {{ ago('90 days') }}
