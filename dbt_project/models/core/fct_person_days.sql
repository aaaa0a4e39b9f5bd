-- One row per person and UTC day on which something of theirs happened (whole days, whatever as_of is).
-- A day with events that are new, or somebody else's now, is written again, whole; and where the others do not add up to
-- fct_events, each that differs: a load that went and a table that was left behind heal the same way.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook=[
        "{{ name_days_to_write(is_done_by_person()) }}", "{{ name_other_days_that_differ(is_done_by_person(), is_not_done_by_person()) }}", "{{ forget_days_to_write() }}",
    ],
    post_hook="{{ note_loads() }}",
    meta={'declassify': 'days and counts of all events together: when somebody was there, and not what for'},
) }}

select
    person_id,
    event_on,
    {{ person_day_measures() }},
    {{ this_writing() }} as written_in
from {{ ref('fct_events') }}
where {{ is_done_by_person() }}
    and {{ is_on_day_to_write() }}
group by person_id, event_on
