-- One row per person whose trial ends within three days and who has not subscribed.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'growth@example.com', 'summary': 'Trial ends within 3 days, not subscribed'},
) }}

select
    people.person_id,
    people.trial_ends_at as trial_end_at
from {{ ref('dim_people') }} as people
where people.subscription_status = 'trial'
    and people.trial_ends_at <= {{ plus_days(as_of(), 3) }}
    and {{ not_performed('subscription_started') }}
