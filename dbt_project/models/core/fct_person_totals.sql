-- One row per person: what they did on all of their days together (whole days, whatever as_of is).
-- New events add to what is held. When that does not add up to fct_person_days, those whose sums differ are counted anew, from
-- all of their days: a load that went, events that are somebody else's now and a build that died half-way all heal that way.
{{ config(
    materialized='incremental', tags=['by_load'],
    pre_hook=[
        "{{ count_new_events() }}", "{{ name_people_of_other_sums() }}", "{{ merge_new_totals() }}", "{{ forget_changed_totals() }}",
    ],
    post_hook="{{ note_loads() }}",
) }}

-- depends_on: {{ ref('fct_events') }}
select
    person_id,
    {{ person_total_measures() }},
    {{ person_sums() }}
from {{ ref('fct_person_days') }}
where {{ is_of_changed_person() }}
group by person_id
{{ and_merged_totals() }}
