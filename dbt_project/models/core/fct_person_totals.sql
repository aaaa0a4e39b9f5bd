-- One row per person: what they did on all of their days together (whole days, whatever as_of is).
-- A person whose sums differ from fct_person_days is written again, whole: a late load, a load that went, a merge and a
-- build that died half-way all heal the same way.
{{ config(
    materialized='incremental', tags=['by_load'],
    pre_hook=[
        "{{ name_changed_people(ref('fct_person_days')) }}", "{{ name_others_who_changed(ref('fct_person_days')) }}",
        "{{ forget_changed_people() }}",
    ],
) }}

select
    person_id,
    {{ person_total_measures() }},
    {{ person_sums() }}
from {{ ref('fct_person_days') }}
where {{ is_of_changed_person() }}
group by person_id
