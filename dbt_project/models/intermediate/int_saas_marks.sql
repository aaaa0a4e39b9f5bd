-- One row per person and moment at which their lifecycle state may change: a few per person, each saying what is new then.
-- quiet_level: 0 in use, 1 at risk, 2 dormant, 3 churned. A mark may lie after as_of; the state model cuts.
with activity as (
    select
        person_id,
        first_usage_at as started_at,
        last_usage_at as ended_at
    from {{ ref('int_person_days_as_of') }}
    where n_usage_events > 0

    union all

    -- Being seen for the first time starts the clock, also for somebody who never uses the product.
    select
        person_id,
        min(first_event_at) as started_at,
        min(first_event_at) as ended_at
    from {{ ref('int_person_days_as_of') }}
    group by person_id
),

gaps as (
    select
        person_id,
        started_at,
        ended_at,
        lag(ended_at) over (partition by person_id order by started_at, ended_at) as previous_ended_at,
        lead(started_at) over (partition by person_id order by started_at, ended_at) as next_started_at
    from activity
),

levels as (
    select 1 as quiet_level, {{ var('saas_at_risk_days') }} as n_days
    union all
    select 2 as quiet_level, {{ var('saas_dormant_days') }} as n_days
    union all
    select 3 as quiet_level, {{ var('saas_churned_days') }} as n_days
),

silences as (
    select
        gaps.person_id,
        {{ plus_days('gaps.ended_at', 'levels.n_days') }} as marked_at,
        levels.quiet_level
    from gaps
    cross join levels
    where gaps.next_started_at is null
        or {{ plus_days('gaps.ended_at', 'levels.n_days') }} < gaps.next_started_at
),

resumptions as (
    select
        person_id,
        started_at as marked_at,
        case
            when started_at > {{ plus_days('previous_ended_at', var('saas_dormant_days')) }} then started_at
        end as returned_at
    from gaps
    where previous_ended_at is null
        or started_at > {{ plus_days('previous_ended_at', var('saas_at_risk_days')) }}
),

activations as (
    select
        person_id,
        min(first_value_at) as activated_at
    from {{ ref('int_person_days_as_of') }}
    where first_value_at is not null
    group by person_id
),

payments as (
    select
        person_id,
        event_at,
        fact = 'subscription_cancelled' as is_end,
        case when ends_at > event_at then ends_at else event_at end as ends_at,
        min(case when fact != 'subscription_cancelled' then event_at end) over (
            partition by person_id
            order by event_at, event_id, source
            rows between 1 following and unbounded following
        ) as next_paid_at
    from {{ ref('fct_person_facts') }}
    where fact in ('subscription_started', 'subscription_renewed', 'subscription_cancelled')
        and event_at <= {{ as_of() }}
),

-- A cancellation counts when it takes effect, unless the person paid again before.
endings as (
    select
        person_id,
        ends_at as marked_at,
        next_paid_at
    from payments
    where is_end
        and (next_paid_at is null or next_paid_at > ends_at)
),

returns as (
    select
        person_id,
        returned_at
    from resumptions
    where returned_at is not null

    union all

    select
        person_id,
        next_paid_at as returned_at
    from endings
    where next_paid_at is not null
),

marks as (
    select
        person_id,
        marked_at,
        quiet_level,
        'quiet' as mark
    from silences

    union all

    select
        person_id,
        marked_at,
        0 as quiet_level,
        'quiet' as mark
    from resumptions

    union all

    select
        person_id,
        returned_at as marked_at,
        null as quiet_level,
        'returned' as mark
    from returns

    union all

    select
        person_id,
        {{ plus_days('returned_at', var('saas_returned_days')) }} as marked_at,
        null as quiet_level,
        'settled' as mark
    from returns

    union all

    select
        person_id,
        activated_at as marked_at,
        null as quiet_level,
        'activated' as mark
    from activations

    union all

    select
        person_id,
        {{ plus_days('activated_at', var('saas_activated_days')) }} as marked_at,
        null as quiet_level,
        'settled' as mark
    from activations

    union all

    select
        person_id,
        marked_at,
        null as quiet_level,
        'ended' as mark
    from endings

    union all

    select
        person_id,
        next_paid_at as marked_at,
        null as quiet_level,
        'paid' as mark
    from endings
    where next_paid_at is not null
)

select
    person_id,
    marked_at,
    mark,
    quiet_level
from marks
