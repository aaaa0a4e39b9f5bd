-- One row per person known at as_of: what they told us, their consent and their subscription, as last known by then.
-- Latest value per attribute, of the source that owns it (macros/person_profiles.sql).
-- Ordered by person: what segments select from it stands in that order too, and a plan reads it slice by slice.
with people as (
    select
        person_id,
        least_user_id as user_id,
        greatest_user_id,
        first_event_at as first_seen_at
    from {{ ref('int_person_totals_as_of') }}
    -- What an anonymous visitor did is somebody's before they said who they are: not yet a person at as_of.
    where least_user_id is not null
),

unsubscribed as (
    select distinct person_id
    from {{ ref('dim_consents') }}
    where state = 'unsubscribed'
        and topic = ''
        and channel in ('', 'email')
),

profiles as (
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
        case
            when last_step is null then 'none'
            when last_step = 'trial_started' and trial_ends_at <= {{ as_of() }} then 'trial_expired'
            when last_step = 'trial_started' then 'trial'
            when last_step = 'subscription_cancelled' and ends_at > {{ as_of() }} then 'ending'
            when last_step = 'subscription_cancelled' then 'cancelled'
            when payment_failed_at > paid_at then 'past_due'
            else 'active'
        end as subscription_status
    from {{ ref('int_person_profiles_as_of') }}
)

select
    people.person_id,
    coalesce(least_merge.into_user_id, people.user_id) as user_id,
    profiles.email,
    profiles.first_name,
    profiles.last_name,
    profiles.country,
    profiles.timezone,
    profiles.company,
    coalesce(profiles.signed_up_at, profiles.created_at, people.first_seen_at) as created_at,
    people.first_seen_at,
    unsubscribed.person_id is not null as is_unsubscribed,
    profiles.plan,
    coalesce(profiles.subscription_status, 'none') as subscription_status,
    case when profiles.subscription_status in ('active', 'past_due', 'ending') then profiles.mrr end as mrr,
    case when profiles.subscription_status in ('active', 'past_due', 'ending') then profiles.billing end as billing,
    case when profiles.subscription_status in ('active', 'past_due') then profiles.renews_at end as renews_at,
    case when profiles.subscription_status in ('active', 'past_due') then cast(profiles.renews_at as date) end as renews_on,
    case when profiles.subscription_status in ('trial', 'trial_expired') then profiles.trial_ends_at end as trial_ends_at,
    case when profiles.subscription_status in ('ending', 'cancelled') then profiles.ends_at end as subscription_ends_at,
    {{ tailrace_attribute('onboarding_stage') }} as onboarding_stage,
    coalesce(least_merge.into_user_id, people.user_id)
    = coalesce(greatest_merge.into_user_id, people.greatest_user_id) as is_key_unique
from people
left join {{ ref('fct_person_merges') }} as least_merge on people.user_id = least_merge.user_id
left join {{ ref('fct_person_merges') }} as greatest_merge on people.greatest_user_id = greatest_merge.user_id
left join profiles on people.person_id = profiles.person_id
left join unsubscribed on people.person_id = unsubscribed.person_id
order by people.person_id
