-- One row per person, moment at which their lifecycle state may change, and what is new then: a few per person.
-- A mark may lie after as_of; the state model cuts.
{{ config(enabled='saas' in var('programmes')) }}

with levels as (
    select 'at_risk' as mark, {{ var('saas_at_risk_days') }} as n_days
    union all
    select 'dormant' as mark, {{ var('saas_dormant_days') }} as n_days
    union all
    select 'silent' as mark, {{ var('saas_churned_days') }} as n_days
),

silences as (
    select
        gaps.person_id,
        {{ plus_days('gaps.ended_at', 'levels.n_days') }} as marked_at,
        levels.mark
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
    mark
from silences

union all

select
    person_id,
    marked_at,
    'in_use' as mark
from resumptions

union all

select
    person_id,
    returned_at as marked_at,
    'returned' as mark
from returns

union all

select
    person_id,
    {{ plus_days('returned_at', var('saas_returned_days')) }} as marked_at,
    'settled' as mark
from returns

union all

select
    person_id,
    activated_at as marked_at,
    'activated' as mark
from activations

union all

select
    person_id,
    {{ plus_days('activated_at', var('saas_activated_days')) }} as marked_at,
    'settled' as mark
from activations

union all

select
    person_id,
    marked_at,
    mark
from {{ ref('int_subscription_endings') }}
