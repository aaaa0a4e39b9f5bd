-- One row per power user, as the CRM shall know them: the key first, then the fields.
{{ config(enabled='saas' in var('programmes'), meta={
    'owner': 'product@example.com',
    'destination': 'crm_webhook',
    'target': 'power_users',
    'mode': 'mirror',
    'keys': ['user_id'],
}) }}

select
    people.user_id,
    people.email,
    people.first_name,
    people.last_name,
    people.plan,
    segment.n_usage_days_30d
from {{ ref('seg_power_users') }} as segment
inner join {{ ref('dim_people') }} as people on segment.person_id = people.person_id
where not people.is_unsubscribed
