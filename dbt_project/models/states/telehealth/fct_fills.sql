-- One row per person, prescription and moment at which it was filled by as_of: how long the supply lasts, how that is known.
-- days_from: stated (the event says so), inferred (the pace of the last three fills), assumed (telehealth_supply_days), none
-- (taken as needed: nothing runs out). runs_out_at is where the supply ends unless it is filled again or stopped before.
{{ config(enabled='telehealth' in var('programmes')) }}

with moments as (
    select
        person_id,
        prescription_id,
        event_at,
        max(case when event = 'prescription_stopped' then 0 else 1 end) as is_fill,
        max(case when event = 'prescription_stopped' then 1 else 0 end) as is_stop,
        max(case when is_as_needed then 1 else 0 end) as is_as_needed,
        cast(
            floor(max(case when expected_supply_days between 1 and 3650 then expected_supply_days end)) as integer
        ) as stated_days
    from {{ ref('fct_care_events') }}
    where event in ('prescription_started', 'prescription_filled', 'prescription_stopped')
        and event_at <= {{ as_of() }}
    group by person_id, prescription_id, event_at
),

fills as (
    select
        person_id,
        prescription_id,
        event_at as filled_at,
        is_as_needed,
        stated_days,
        lag(event_at, 3) over (partition by person_id, prescription_id order by event_at) as third_last_filled_at,
        lead(event_at) over (partition by person_id, prescription_id order by event_at) as next_filled_at
    from moments
    where is_fill = 1
),

paced as (
    select
        fills.*,
        cast(floor({{ days_between('cast(third_last_filled_at as date)', 'cast(filled_at as date)') }} / 3.0) as integer) as pace
    from fills
),

lasting as (
    select
        person_id,
        prescription_id,
        filled_at,
        next_filled_at,
        case
            when is_as_needed = 1 then 'none'
            when stated_days is not null then 'stated'
            when pace between {{ var('telehealth_pace_days')[0] }} and {{ var('telehealth_pace_days')[1] }} then 'inferred'
            else 'assumed'
        end as days_from,
        case
            when is_as_needed = 1 then null
            when stated_days is not null then stated_days
            when pace between {{ var('telehealth_pace_days')[0] }} and {{ var('telehealth_pace_days')[1] }} then pace
            else {{ var('telehealth_supply_days') }}
        end as supply_days
    from paced
),

stopped as (
    select
        lasting.person_id,
        lasting.prescription_id,
        lasting.filled_at,
        min(moments.event_at) as stopped_at
    from lasting
    inner join moments
        on lasting.person_id = moments.person_id
            and lasting.prescription_id = moments.prescription_id
            and lasting.filled_at <= moments.event_at
    where moments.is_stop = 1
        and (lasting.next_filled_at is null or moments.event_at < lasting.next_filled_at)
    group by lasting.person_id, lasting.prescription_id, lasting.filled_at
)

select
    lasting.person_id,
    lasting.prescription_id,
    lasting.filled_at,
    lasting.supply_days,
    lasting.days_from,
    {{ plus_days('lasting.filled_at', 'lasting.supply_days') }} as runs_out_at,
    lasting.next_filled_at,
    stopped.stopped_at
from lasting
left join stopped
    on lasting.person_id = stopped.person_id
        and lasting.prescription_id = stopped.prescription_id
        and lasting.filled_at = stopped.filled_at
order by lasting.person_id, lasting.prescription_id, lasting.filled_at
