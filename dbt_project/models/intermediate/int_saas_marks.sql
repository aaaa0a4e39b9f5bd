-- One row per person and moment at which their lifecycle state may change: a few per person, each saying what is new then.
-- quiet_level: 0 in use, 1 at risk, 2 dormant, 3 churned. A mark may lie after as_of; the state model cuts.
with levels as (
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
    from (
        select
            person_id,
            ended_at,
            next_started_at
        from {{ ref('int_usage_gaps') }}
        where next_started_at is null
            or {{ plus_days('ended_at', var('saas_at_risk_days')) }} < next_started_at
    ) as gaps
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
    from {{ ref('int_usage_gaps') }}
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

returns as (
    select
        person_id,
        returned_at
    from resumptions
    where returned_at is not null

    union all

    select
        person_id,
        marked_at as returned_at
    from {{ ref('int_subscription_endings') }}
    where mark = 'paid'
)

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
    mark
from {{ ref('int_subscription_endings') }}
