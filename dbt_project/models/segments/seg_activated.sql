-- One row per person who got something out of the product for the first time within seven days.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'growth@example.com', 'summary': 'First project created within 7 days'},
) }}

select
    features.person_id,
    features.first_value_at as activated_at
from {{ ref('dim_person_features') }} as features
where features.first_value_at > {{ ago('7 days') }}
