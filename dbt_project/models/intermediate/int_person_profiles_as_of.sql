-- One row per person who has told us something by as_of: what it says of them.
-- That is what all they ever told says of them, unless they told something later: only of these people are the facts read.
with facts as (
    {{ facts_in_order("event_at <= " ~ as_of() ~ " and person_id in (select later.person_id from " ~ ref('fct_person_profiles')
        ~ " as later where later.last_fact_at > " ~ as_of() ~ ")") }}
)

select
    person_id,
    email,
    first_name,
    last_name,
    country,
    timezone,
    company,
    plan,
    mrr,
    billing,
    renews_at,
    trial_ends_at,
    ends_at,
    signed_up_at,
    created_at,
    paid_at,
    payment_failed_at,
    last_step
from {{ ref('fct_person_profiles') }}
where last_fact_at <= {{ as_of() }}

union all

select
    person_id,
    {{ person_profile_measures() }}
from facts
group by person_id
