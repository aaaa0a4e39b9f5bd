-- One row per person and period in a lifecycle state of the saas programme, by all that has landed, whatever as_of is; the
-- last ones are those that come when nothing happens any more. What is so by a moment does not depend on what comes after it:
-- fct_saas_states cuts. docs/segments.md says what each state means.
-- n_events and the sums are the person's: whom fct_person_totals counts otherwise is written again, whole.
{{ config(
    enabled='saas' in var('programmes'), materialized='incremental', incremental_strategy='append', tags=['by_load'],
    pre_hook=[
        "{{ name_changed_people(ref('fct_person_totals'), of_person='previous_state is null') }}",
        "{{ name_others_who_changed(ref('fct_person_totals'), of_person='previous_state is null') }}",
        "{{ forget_changed_people() }}",
    ],
) }}

with totals as (
    select
        person_id,
        first_event_at,
        first_value_at,
        n_events,
        load_seq_sum,
        attributed_in_sum,
        written_in
    from {{ ref('fct_person_totals') }}
    where {{ is_of_changed_person() }}
),

activity as (
    select
        person_id,
        first_usage_at as started_at,
        last_usage_at as ended_at
    from {{ ref('fct_person_days') }}
    where n_usage_events > 0
        and {{ is_of_changed_person() }}

    union all

    -- Being seen for the first time starts the clock, also for somebody who never uses the product.
    select
        person_id,
        first_event_at as started_at,
        first_event_at as ended_at
    from totals
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
        from gaps
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
    from gaps
    where previous_ended_at is null
        or started_at > {{ plus_days('previous_ended_at', var('saas_at_risk_days')) }}
),

-- Ends of subscriptions that took effect, and the payment that followed one. Paying again before the end voids the
-- cancellation.
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
    from {{ owned_facts(['ends_at']) }}
    where fact in ('subscription_started', 'subscription_renewed', 'subscription_cancelled')
        and {{ is_of_changed_person() }}
),

endings as (
    select
        person_id,
        ends_at,
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

-- The moments at which somebody's state may change, and what is new then: a few per person.
marks as (
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
        first_value_at as marked_at,
        'activated' as mark
    from totals
    where first_value_at is not null

    union all

    select
        person_id,
        {{ plus_days('first_value_at', var('saas_activated_days')) }} as marked_at,
        'settled' as mark
    from totals
    where first_value_at is not null

    union all

    select
        person_id,
        ends_at as marked_at,
        'ended' as mark
    from endings

    union all

    select
        person_id,
        next_paid_at as marked_at,
        'paid' as mark
    from endings
    where next_paid_at is not null
),

moments as (
    select
        person_id,
        marked_at,
        max(case when mark = 'in_use' then marked_at end) as in_use_at,
        max(case when mark = 'at_risk' then marked_at end) as at_risk_at,
        max(case when mark = 'dormant' then marked_at end) as dormant_at,
        max(case when mark = 'silent' then marked_at end) as silent_at,
        max(case when mark = 'returned' then marked_at end) as returned_at,
        max(case when mark = 'activated' then marked_at end) as activated_at,
        max(case when mark = 'ended' then marked_at end) as ended_at,
        max(case when mark = 'paid' then marked_at end) as paid_at
    from marks
    group by person_id, marked_at
),

-- When each thing was last true of a person by then.
known as (
    select
        person_id,
        marked_at,
        max(in_use_at) over so_far as in_use_at,
        max(at_risk_at) over so_far as at_risk_at,
        max(dormant_at) over so_far as dormant_at,
        max(silent_at) over so_far as silent_at,
        max(returned_at) over so_far as returned_at,
        max(activated_at) over so_far as activated_at,
        max(ended_at) over so_far as ended_at,
        max(paid_at) over so_far as paid_at
    from moments
    window so_far as (partition by person_id order by marked_at rows between unbounded preceding and current row)
),

named as (
    select
        person_id,
        marked_at,
        case
            when ended_at > paid_at or (ended_at is not null and paid_at is null) then 'churned'
            when marked_at < {{ plus_days('returned_at', var('saas_returned_days')) }} then 'returned'
            when silent_at > in_use_at then 'churned'
            when dormant_at > in_use_at then 'dormant'
            when at_risk_at > in_use_at then 'at_risk'
            when activated_at is null then 'new'
            when marked_at < {{ plus_days('activated_at', var('saas_activated_days')) }} then 'activated'
            else 'active'
        end as state
    from known
),

periods as (
    {{ state_periods('named') }}
)

select
    periods.person_id,
    periods.state,
    periods.started_at,
    periods.ended_at,
    periods.previous_state,
    totals.n_events,
    totals.load_seq_sum,
    totals.attributed_in_sum,
    totals.written_in
from periods
inner join totals on periods.person_id = totals.person_id
