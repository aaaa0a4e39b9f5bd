-- One row per person and day up to as_of; the day of as_of holds only what happened by then.
-- Whole days come from the rollup; only the day that as_of cuts is counted from events. Nothing later than as_of, so an
-- event from the future freshens nobody.
{{ config(meta={'declassify': 'days and counts of all events together: when somebody was there, and not what for'}) }}

select
    person_id,
    event_on,
    least_user_id,
    greatest_user_id,
    n_events,
    n_usage_events,
    n_logins,
    n_pages,
    first_event_at,
    last_event_at,
    first_usage_at,
    last_usage_at,
    first_value_at
from {{ ref('fct_person_days') }}
where event_on < {{ as_of_on() }}

union all

select
    person_id,
    event_on,
    least_user_id,
    greatest_user_id,
    n_events,
    n_usage_events,
    n_logins,
    n_pages,
    first_event_at,
    last_event_at,
    first_usage_at,
    last_usage_at,
    first_value_at
from (
    select
        person_id,
        event_on,
        {{ person_day_measures() }}
    from {{ ref('fct_events') }}
    where event_on = {{ as_of_on() }}
        and event_at <= {{ as_of() }}
        and {{ is_done_by_person() }}
    group by person_id, event_on
) as today
