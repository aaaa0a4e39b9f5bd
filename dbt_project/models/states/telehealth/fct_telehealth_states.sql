-- One row per person and period in a state of the telehealth programme, up to as_of; the current period is open.
-- Periods of a person follow each other without gap or overlap. docs/programmes.md says what each state means.
{{ config(enabled='telehealth' in var('programmes')) }}

with happened as (
    select
        person_id,
        event_at,
        event,
        outcome
    from {{ ref('fct_care_events') }}
    where event_at <= {{ as_of() }}
),

-- What is given: care itself, which makes a person a patient.
given as (
    select
        person_id,
        event_at as started_at,
        {{ plus_days('event_at', var('telehealth_care_days')) }} as ended_at
    from happened
    where event = 'visit_completed'
        or (event = 'review_completed' and outcome = 'approved')

    union all

    select
        person_id,
        filled_at as started_at,
        greatest(
            {{ plus_days('filled_at', var('telehealth_care_days')) }},
            coalesce(least(runs_out_at, stopped_at), {{ plus_days('filled_at', var('telehealth_care_days')) }})
        ) as ended_at
    from {{ ref('fct_fills') }}
),

ends as (
    select
        ended.person_id,
        ended.event_at as started_at,
        min(again.event_at) as ended_at
    from happened as ended
    left join happened as again
        on ended.person_id = again.person_id
            and ended.event_at < again.event_at
            and (
                again.event in ('intake_started', 'visit_completed', 'prescription_started', 'prescription_filled')
                or (again.event = 'review_completed' and again.outcome = 'approved')
            )
    where ended.event = 'care_ended'
    group by ended.person_id, ended.event_at
),

-- Every stretch of time in which something is true of a person; several may be at once, and the first by name counts.
stretches as (
    select
        person_id,
        'ended' as what,
        started_at,
        ended_at
    from ends

    union all

    select
        person_id,
        'refill_due' as what,
        greatest(filled_at, {{ plus_days('runs_out_at', -1 * var('telehealth_refill_days')) }}) as started_at,
        least(runs_out_at, coalesce(next_filled_at, runs_out_at), coalesce(stopped_at, runs_out_at)) as ended_at
    from {{ ref('fct_fills') }}
    where runs_out_at is not null

    union all

    select
        person_id,
        'active' as what,
        started_at,
        ended_at
    from given

    union all

    select
        person_id,
        'in_review' as what,
        paid_at as started_at,
        least(coalesce(reviewed_at, next_started_at), coalesce(next_started_at, reviewed_at)) as ended_at
    from {{ ref('fct_intakes') }}
    where paid_at is not null

    union all

    select
        person_id,
        'awaiting_payment' as what,
        completed_at as started_at,
        least(
            {{ plus_days('completed_at', var('telehealth_intake_days')) }},
            coalesce(paid_at, {{ plus_days('completed_at', var('telehealth_intake_days')) }}),
            coalesce(reviewed_at, {{ plus_days('completed_at', var('telehealth_intake_days')) }}),
            coalesce(next_started_at, {{ plus_days('completed_at', var('telehealth_intake_days')) }})
        ) as ended_at
    from {{ ref('fct_intakes') }}
    where completed_at is not null

    union all

    select
        person_id,
        'intake' as what,
        started_at,
        least(
            {{ plus_days('started_at', var('telehealth_intake_days')) }},
            coalesce(completed_at, {{ plus_days('started_at', var('telehealth_intake_days')) }}),
            coalesce(paid_at, {{ plus_days('started_at', var('telehealth_intake_days')) }}),
            coalesce(reviewed_at, {{ plus_days('started_at', var('telehealth_intake_days')) }}),
            coalesce(next_started_at, {{ plus_days('started_at', var('telehealth_intake_days')) }})
        ) as ended_at
    from {{ ref('fct_intakes') }}

    union all

    select
        person_id,
        'patient' as what,
        min(started_at) as started_at,
        cast(null as timestamp) as ended_at
    from given
    group by person_id

    union all

    select
        person_id,
        'known' as what,
        min(event_at) as started_at,
        cast(null as timestamp) as ended_at
    from happened
    group by person_id
),

bounds as (
    select
        person_id,
        started_at as marked_at,
        what,
        1 as step
    from stretches
    where ended_at is null or started_at < ended_at

    union all

    select
        person_id,
        ended_at as marked_at,
        what,
        -1 as step
    from stretches
    where started_at < ended_at
),

marks as (
    select
        person_id,
        marked_at,
        sum(case when what = 'ended' then step else 0 end) as ended,
        sum(case when what = 'refill_due' then step else 0 end) as refill_due,
        sum(case when what = 'active' then step else 0 end) as active,
        sum(case when what = 'in_review' then step else 0 end) as in_review,
        sum(case when what = 'awaiting_payment' then step else 0 end) as awaiting_payment,
        sum(case when what = 'intake' then step else 0 end) as intake,
        sum(case when what = 'patient' then step else 0 end) as patient
    from bounds
    where marked_at <= {{ as_of() }}
    group by person_id, marked_at
),

known as (
    select
        person_id,
        marked_at,
        sum(ended) over so_far as ended,
        sum(refill_due) over so_far as refill_due,
        sum(active) over so_far as active,
        sum(in_review) over so_far as in_review,
        sum(awaiting_payment) over so_far as awaiting_payment,
        sum(intake) over so_far as intake,
        sum(patient) over so_far as patient
    from marks
    window so_far as (partition by person_id order by marked_at rows between unbounded preceding and current row)
),

named as (
    select
        person_id,
        marked_at,
        case
            when ended > 0 then 'ended'
            when refill_due > 0 then 'refill_due'
            when active > 0 then 'active'
            when in_review > 0 then 'in_review'
            when awaiting_payment > 0 then 'awaiting_payment'
            when intake > 0 then 'intake'
            when patient > 0 then 'lapsed'
            else 'lead'
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
