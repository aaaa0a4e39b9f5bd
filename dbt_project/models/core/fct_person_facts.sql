-- One row per event that says something about its person: traits, consent, trial, subscription.
-- JSON is parsed here once, when its load comes in. Incremental by load, like fct_events. It holds what every source said: whose
-- word counts is decided where it is read (macros/ownership.sql). meta.attributes are the columns that a source may own.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook="{{ forget_events() }}", post_hook="{{ note_loads() }}",
    meta={'attributes': [
        'email', 'first_name', 'last_name', 'country', 'timezone', 'company', 'created_at', 'plan', 'mrr', 'billing', 'renews_at',
        'trial_ends_at', 'ends_at',
    ]},
) }}

with facts as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        person_id,
        event_at,
        event,
        type = 'identify' as is_identify,
        case when type = 'identify' then traits else properties end as said,
        -- Few say that there is nothing: of the others no key is looked for.
        type = 'identify' and (traits like '%null%' or traits like '%""%' or traits like '%" %') as may_clear
    from {{ to_be_read(ref('fct_events')) }}
    where person_id is not null
        and (
            (type = 'identify' and traits is not null)
            or (
                type = 'track' and event in (
                    'signed_up', 'trial_started', 'subscription_started', 'subscription_renewed',
                    'subscription_cancelled', 'payment_failed', 'unsubscribed', 'subscribed'
                )
            )
        )
),

parsed as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        person_id,
        event_at,
        case when not is_identify then event end as fact,
        case when is_identify then trim({{ trait('said', 'email') }}) end as email,
        case when is_identify then trim({{ trait('said', 'first_name') }}) end as first_name,
        case when is_identify then trim({{ trait('said', 'last_name') }}) end as last_name,
        case when is_identify then trim({{ trait('said', 'country') }}) end as country,
        case when is_identify then trim({{ trait('said', 'timezone') }}) end as timezone,
        case when is_identify then trim({{ trait('said', 'company') }}) end as company,
        case when is_identify then {{ trait('said', 'created_at') }} end as created_at,
        case when is_identify then lower(trim({{ json_text('said', 'unsubscribed') }})) end as unsubscribed_trait,
        case when event in ('unsubscribed', 'subscribed') then {{ json_text('said', 'topic') }} end as topic,
        {{ trait('said', 'plan') }} as plan,
        {{ trait('said', 'mrr') }} as mrr,
        {{ trait('said', 'billing') }} as billing,
        {{ trait('said', 'renews_at') }} as renews_at,
        {{ trait('said', 'trial_ends_at') }} as trial_ends_at,
        {{ trait('said', 'ends_at') }} as ends_at,
        case when may_clear then {{ cleared_attributes('said') }} end as cleared
    from facts
)

select
    event_id,
    source,
    load_id,
    attributed_in,
    person_id,
    event_at,
    fact,
    nullif(email, '') as email,
    nullif(first_name, '') as first_name,
    nullif(last_name, '') as last_name,
    nullif(country, '') as country,
    nullif(timezone, '') as timezone,
    nullif(company, '') as company,
    {{ parse_time('created_at') }} as created_at,
    -- Only a plain no means no: a value that nobody foresaw is read as a wish to hear nothing.
    case
        when fact = 'unsubscribed' or unsubscribed_trait not in ('false', 'no', '0', '') then 'unsubscribed'
        when fact = 'subscribed' or unsubscribed_trait is not null then 'subscribed'
    end as consent,
    -- A trait and each topic speak for themselves: one does not lift what another said.
    case
        when fact in ('unsubscribed', 'subscribed') then concat('topic:', coalesce(topic, ''))
        when unsubscribed_trait is not null then 'trait'
    end as consent_about,
    nullif(plan, '') as plan,
    {{ parse_amount('mrr') }} as mrr,
    nullif(billing, '') as billing,
    {{ parse_time('renews_at') }} as renews_at,
    {{ parse_time('trial_ends_at') }} as trial_ends_at,
    {{ parse_time('ends_at') }} as ends_at,
    -- The attributes of which an `identify` says that there is none, such as `,email,plan,`.
    nullif(cleared, ',') as cleared
from parsed
