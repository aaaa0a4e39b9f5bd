-- One row per person and UTC day on which something of theirs happened (whole days, whatever as_of is).
-- A day whose sums differ from fct_events is written again, whole: a late load, a load that went and a build that died
-- half-way all heal the same way.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook="{{ forget_changed_days(is_done_by_person()) }}",
    meta={'declassify': 'days and counts of all events together: when somebody was there, and not what for'},
) }}

select
    person_id,
    event_on,
    {{ person_day_measures() }},
    {{ this_writing() }} as written_in
from {{ ref('fct_events') }}
where {{ is_done_by_person() }}
    and {{ is_in_missing_day(is_done_by_person()) }}
group by person_id, event_on
