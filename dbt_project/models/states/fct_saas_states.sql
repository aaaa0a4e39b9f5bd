-- One row per person and period in a lifecycle state of the saas programme, up to as_of; the current period is open.
-- Periods of a person follow each other without gap or overlap. docs/segments.md says what each state means.
with marks as (
    select
        person_id,
        marked_at,
        max(quiet_level) as quiet_level,
        max(case when mark = 'returned' then marked_at end) as returned_at,
        max(case when mark = 'ended' then marked_at end) as subscription_ended_at,
        max(case when mark = 'paid' then marked_at end) as subscription_started_at,
        max(case when mark = 'activated' then marked_at end) as activated_at
    from {{ ref('int_saas_marks') }}
    where marked_at <= {{ as_of() }}
    group by person_id, marked_at
),

-- How quiet a person is stays true until the next mark that says otherwise.
spans as (
    select
        person_id,
        marked_at,
        quiet_level,
        returned_at,
        subscription_ended_at,
        subscription_started_at,
        activated_at,
        count(quiet_level) over (
            partition by person_id order by marked_at rows between unbounded preceding and current row
        ) as quiet_span
    from marks
),

known as (
    select
        person_id,
        marked_at,
        max(quiet_level) over (partition by person_id, quiet_span) as quiet_level,
        max(returned_at) over so_far as returned_at,
        max(subscription_ended_at) over so_far as subscription_ended_at,
        max(subscription_started_at) over so_far as subscription_started_at,
        max(activated_at) over so_far as activated_at
    from spans
    window so_far as (partition by person_id order by marked_at rows between unbounded preceding and current row)
),

named as (
    select
        person_id,
        marked_at,
        case
            when subscription_ended_at > coalesce(subscription_started_at, timestamp '0001-01-01 00:00:00') then 'churned'
            when marked_at < {{ plus_days('returned_at', var('saas_returned_days')) }} then 'returned'
            when quiet_level = 3 then 'churned'
            when quiet_level = 2 then 'dormant'
            when quiet_level = 1 then 'at_risk'
            when activated_at is null then 'new'
            when marked_at < {{ plus_days('activated_at', var('saas_activated_days')) }} then 'activated'
            else 'active'
        end as state
    from known
),

changed as (
    select
        person_id,
        marked_at,
        state,
        lag(state) over (partition by person_id order by marked_at) as previous_state
    from named
)

select
    person_id,
    state,
    marked_at as started_at,
    lead(marked_at) over (partition by person_id order by marked_at) as ended_at,
    previous_state
from changed
where state is distinct from previous_state
