-- One row per person of whom something is known at as_of: what they did by then, all together.
-- What somebody did in all is what they did by as_of, unless they did something later: only of these people are the days read.
-- It writes the days out rather than refer to them: a model that reads both would have them all put down in between.
{{ config(meta={'declassify': 'days and counts of all events together: when somebody was there, and not what for'}) }}

select
    person_id,
    least_user_id,
    greatest_user_id,
    n_days,
    n_events,
    n_usage_events,
    n_usage_days,
    first_event_at,
    last_event_at,
    first_usage_at,
    last_usage_at,
    first_value_at
from {{ ref('fct_person_totals') }}
where last_event_at <= {{ as_of() }}

union all

select
    person_id,
    {{ person_total_measures() }}
from (
    {{ person_days_as_of() }}
) as days
where person_id in (
        select totals.person_id
        from {{ ref('fct_person_totals') }} as totals
        where totals.last_event_at > {{ as_of() }}
    )
group by person_id
