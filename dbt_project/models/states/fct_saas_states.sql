-- One row per person and period in a lifecycle state of the saas programme, up to as_of; the current period is open.
-- Periods of a person follow each other without gap or overlap. docs/segments.md says what each state means.
{{ config(enabled='saas' in var('programmes')) }}

with marks as (
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
    from {{ ref('int_saas_marks') }}
    where marked_at <= {{ as_of() }}
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
    from marks
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
    person_id,
    state,
    started_at,
    ended_at,
    previous_state
from periods
