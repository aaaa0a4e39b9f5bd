-- One row per person known at as_of: what they told us, their consent and their subscription, as last known by then.
-- Latest value per attribute, of the source that owns it: by event time, then by event id and source, so the order of files and
-- rows cannot matter.
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

facts as (
    select
        person_id,
        event_at,
        fact,
        email,
        first_name,
        last_name,
        country,
        timezone,
        company,
        created_at,
        plan,
        mrr,
        billing,
        renews_at,
        trial_ends_at,
        ends_at,
        row_number() over (partition by person_id order by event_at, event_id, source) as nth
    from {{ owned_facts([
        'email', 'first_name', 'last_name', 'country', 'timezone', 'company', 'created_at', 'plan', 'mrr', 'billing',
        'renews_at', 'trial_ends_at', 'ends_at',
    ]) }}
    where event_at <= {{ as_of() }}
),

known as (
    select
        person_id,
        {{ latest('email', 'nth') }} as email,
        {{ latest('first_name', 'nth') }} as first_name,
        {{ latest('last_name', 'nth') }} as last_name,
        {{ latest('country', 'nth') }} as country,
        {{ latest('timezone', 'nth') }} as timezone,
        {{ latest('company', 'nth') }} as company,
        {{ latest('plan', 'nth') }} as plan,
        {{ latest('mrr', 'nth') }} as mrr,
        {{ latest('billing', 'nth') }} as billing,
        {{ latest('renews_at', 'nth') }} as renews_at,
        {{ latest('trial_ends_at', 'nth') }} as trial_ends_at,
        {{ latest("case when fact = 'subscription_cancelled' then coalesce(ends_at, event_at) end", 'nth') }} as ends_at,
        min(case when fact = 'signed_up' then event_at end) as signed_up_at,
        min(created_at) as created_at,
        max(case when fact in ('subscription_started', 'subscription_renewed') then event_at end) as paid_at,
        max(case when fact = 'payment_failed' then event_at end) as payment_failed_at,
        {{ latest("case when fact in ('trial_started', 'subscription_started', 'subscription_renewed', 'subscription_cancelled')"
            " then fact end", 'nth') }} as last_step
    from facts
    group by person_id
),

unsubscribed as (
    select distinct person_id
    from {{ ref('dim_consents') }}
    where state = 'unsubscribed'
        and topic = ''
        and channel in ('', 'email')
),

stood as (
    select
        person_id,
        case
            when last_step is null then 'none'
            when last_step = 'trial_started' and trial_ends_at <= {{ as_of() }} then 'trial_expired'
            when last_step = 'trial_started' then 'trial'
            when last_step = 'subscription_cancelled' and ends_at > {{ as_of() }} then 'ending'
            when last_step = 'subscription_cancelled' then 'cancelled'
            when payment_failed_at > paid_at then 'past_due'
            else 'active'
        end as subscription_status
    from known
)

select
    people.person_id,
    coalesce(least_merge.into_user_id, people.user_id) as user_id,
    known.email,
    known.first_name,
    known.last_name,
    known.country,
    known.timezone,
    known.company,
    coalesce(known.signed_up_at, known.created_at, people.first_seen_at) as created_at,
    people.first_seen_at,
    unsubscribed.person_id is not null as is_unsubscribed,
    known.plan,
    coalesce(stood.subscription_status, 'none') as subscription_status,
    case when stood.subscription_status in ('active', 'past_due', 'ending') then known.mrr end as mrr,
    case when stood.subscription_status in ('active', 'past_due', 'ending') then known.billing end as billing,
    case when stood.subscription_status in ('active', 'past_due') then known.renews_at end as renews_at,
    case when stood.subscription_status in ('active', 'past_due') then cast(known.renews_at as date) end as renews_on,
    case when stood.subscription_status in ('trial', 'trial_expired') then known.trial_ends_at end as trial_ends_at,
    case when stood.subscription_status in ('ending', 'cancelled') then known.ends_at end as subscription_ends_at,
    {{ tailrace_attribute('onboarding_stage') }} as onboarding_stage,
    coalesce(least_merge.into_user_id, people.user_id)
    = coalesce(greatest_merge.into_user_id, people.greatest_user_id) as is_key_unique
from people
left join {{ ref('fct_person_merges') }} as least_merge on people.user_id = least_merge.user_id
left join {{ ref('fct_person_merges') }} as greatest_merge on people.greatest_user_id = greatest_merge.user_id
left join known on people.person_id = known.person_id
left join stood on people.person_id = stood.person_id
left join unsubscribed on people.person_id = unsubscribed.person_id
order by people.person_id
