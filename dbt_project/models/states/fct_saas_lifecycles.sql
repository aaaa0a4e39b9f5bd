-- One row per person and period in a lifecycle state of the saas programme, by all that has landed, whatever as_of is; the
-- last ones are those that come when nothing happens any more. What is so by a moment does not depend on what comes after it:
-- fct_saas_states cuts. docs/segments.md says what each state means.
-- Whom fct_person_totals counts otherwise is written again. Of somebody who only went on (macros/lifecycles.sql) that is what
-- comes after they were last active: the rest stands. The last period has the person's sums, and where to go on from.
{{ config(
    enabled='saas' in var('programmes'), materialized='incremental', incremental_strategy='append', tags=['by_load'],
    pre_hook=[
        "{{ name_changed_people(ref('fct_person_totals'), of_person='ended_at is null') }}",
        "{{ name_others_who_changed(ref('fct_person_totals'), of_person='ended_at is null') }}",
        "{{ name_people_who_went_on() }}", "{{ forget_what_follows() }}",
    ],
) }}

with totals as (
    select
        person_id,
        first_event_at,
        last_event_at,
        coalesce(last_usage_at, first_event_at) as active_until,
        first_value_at,
        n_events,
        load_seq_sum,
        attributed_in_sum
    from {{ ref('fct_person_totals') }}
    where {{ is_of_changed_person() }}
),

went_on as (
    {{ people_who_went_on() }}
),

activity as (
    select
        person_id,
        first_usage_at as started_at,
        last_usage_at as ended_at
    from {{ ref('fct_person_days') }}
    where n_usage_events > 0
        and {{ is_told_from_the_start() }}

    union all

    select
        days.person_id,
        days.first_usage_at as started_at,
        days.last_usage_at as ended_at
    from {{ ref('fct_person_days') }} as days
    inner join went_on on days.person_id = went_on.person_id
    where days.n_usage_events > 0
        and days.written_in > {{ writings_seen() }}
        and days.event_on > went_on.seen_on

    union all

    -- Being seen for the first time starts the clock, also for somebody who never uses the product.
    select
        person_id,
        first_event_at as started_at,
        first_event_at as ended_at
    from totals
    where person_id not in (select went_on.person_id from went_on)

    union all

    select
        person_id,
        active_until as started_at,
        active_until as ended_at
    from went_on
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

comebacks as (
    select
        person_id,
        returned_at
    from resumptions
    where returned_at is not null

    union all

    select
        person_id,
        came_back_at as returned_at
    from went_on
    where came_back_at is not null
),

returns as (
    select
        person_id,
        returned_at
    from comebacks

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

stated as (
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

named as (
    select
        stated.person_id,
        stated.marked_at,
        stated.state
    from stated
    left join went_on on stated.person_id = went_on.person_id
    where went_on.active_until is null or stated.marked_at >= went_on.active_until
),

periods as (
    {{ state_periods('named') }}
),

last_comebacks as (
    select
        person_id,
        max(returned_at) as came_back_at
    from comebacks
    group by person_id
)

select
    periods.person_id,
    periods.state,
    -- The first of these periods of somebody who went on is the one that they were in.
    case when periods.previous_state is null and went_on.person_id is not null then went_on.started_at else periods.started_at end
        as started_at,
    periods.ended_at,
    coalesce(periods.previous_state, went_on.previous_state) as previous_state,
    case when periods.ended_at is null then totals.n_events end as n_events,
    case when periods.ended_at is null then totals.load_seq_sum end as load_seq_sum,
    case when periods.ended_at is null then totals.attributed_in_sum end as attributed_in_sum,
    case when periods.ended_at is null then totals.last_event_at end as seen_until,
    case when periods.ended_at is null then totals.active_until end as active_until,
    case when periods.ended_at is null then last_comebacks.came_back_at end as came_back_at,
    (select max(all_totals.written_in) from {{ ref('fct_person_totals') }} as all_totals) as written_in
from periods
inner join totals on periods.person_id = totals.person_id
left join went_on on periods.person_id = went_on.person_id
left join last_comebacks on periods.person_id = last_comebacks.person_id
