-- One row per person whose subscription renews within seven days.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'billing@example.com', 'summary': 'Subscription renews within 7 days'},
) }}

select
    people.person_id,
    people.renews_at as renewal_at,
    people.plan as renewal_plan,
    people.mrr as renewal_mrr
from {{ ref('dim_people') }} as people
where people.subscription_status in ('active', 'past_due')
    and people.renews_at > {{ as_of() }}
    and people.renews_at <= {{ plus_days(as_of(), 7) }}
