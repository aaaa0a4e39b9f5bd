-- One row per visit that begins within telehealth_reminder_days (one) and is still booked, by somebody whose care has not ended.
-- A visit is an object: `group` calls tell of it.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={
        'object': 'visit', 'owner': 'care@example.com', 'summary': 'A booked visit begins within a day', 'sensitivity': 'health',
    },
) }}

with visits as (
    select
        object_id,
        {{ parse_time(json_text('attributes', 'visit_at')) }} as visit_at,
        lower({{ json_text('attributes', 'status') }}) as status
    from {{ ref('dim_objects') }}
    where object = 'visit'
)

select
    visits.object_id,
    visits.visit_at
from visits
where visits.visit_at > {{ as_of() }}
    and visits.visit_at <= {{ plus_days(as_of(), var('telehealth_reminder_days')) }}
    and visits.status = 'booked'
    and exists (
        select 1
        from {{ ref('fct_object_people') }} as belongs
        where belongs.object = 'visit'
            and belongs.object_id = visits.object_id
            and {{ is_in_care_programme('belongs.person_id') }}
    )
