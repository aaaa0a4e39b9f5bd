-- One row per person and period in a state of the commerce programme, up to as_of; the current period is open.
-- Periods of a person follow each other without gap or overlap. docs/programmes.md says what each state means.
{{ config(enabled='commerce' in var('programmes')) }}

with events as (
    select
        person_id,
        event_at,
        event,
        -- An order that is told twice (a page that was loaded again) is one purchase.
        row_number() over (
            partition by person_id, event, coalesce(order_id, concat(event_id, ' of ', source))
            order by event_at
        ) as nth
    from {{ ref('fct_commerce_events') }}
    where event_at <= {{ as_of() }}
),

happened as (
    select
        person_id,
        event_at,
        max(case when event = 'checkout_completed' and nth = 1 then 1 else 0 end) as is_purchase
    from events
    group by person_id, event_at
),

purchases as (
    select
        person_id,
        event_at,
        row_number() over (partition by person_id order by event_at) as nth,
        lead(event_at) over (partition by person_id order by event_at) as next_at
    from happened
    where is_purchase = 1
),

marks as (
    select
        person_id,
        min(event_at) as marked_at,
        'browsing' as state
    from happened
    group by person_id
    -- Whose first act is to buy never browsed.
    having min(event_at) < min(case when is_purchase = 1 then event_at else {{ plus_days(as_of(), 1) }} end)

    union all

    select
        person_id,
        event_at as marked_at,
        case when nth = 1 then 'first_purchase' else 'repeat' end as state
    from purchases

    union all

    select
        person_id,
        {{ plus_days('event_at', var('commerce_lapsed_days')) }} as marked_at,
        'lapsed' as state
    from purchases
    where {{ plus_days('event_at', var('commerce_lapsed_days')) }} <= {{ as_of() }}
        and (next_at is null or next_at > {{ plus_days('event_at', var('commerce_lapsed_days')) }})
),

periods as (
    {{ state_periods('marks') }}
)

select
    person_id,
    state,
    started_at,
    ended_at,
    previous_state
from periods
