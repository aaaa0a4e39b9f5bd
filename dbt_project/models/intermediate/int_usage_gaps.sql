-- One row per person and day of use (and for the moment they were first seen), with the use before and after it.
{{ config(enabled='saas' in var('programmes')) }}

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
)

select
    person_id,
    started_at,
    ended_at,
    lag(ended_at) over (partition by person_id order by started_at, ended_at) as previous_ended_at,
    lead(started_at) over (partition by person_id order by started_at, ended_at) as next_started_at
from activity
