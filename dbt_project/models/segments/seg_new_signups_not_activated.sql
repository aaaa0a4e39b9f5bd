-- One row per person who signed up within 14 days and has not got anything out of the product yet.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'growth@example.com', 'summary': 'Signed up within 14 days, no project created yet'},
) }}

select
    people.person_id,
    people.created_at as signed_up_at,
    {{ days_between('cast(people.created_at as date)', as_of_on()) }} as days_since_signup
from {{ ref('dim_people') }} as people
inner join {{ ref('dim_person_features') }} as features on people.person_id = features.person_id
where people.created_at > {{ ago('14 days') }}
    and features.first_value_at is null
