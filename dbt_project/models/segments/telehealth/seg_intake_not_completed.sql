-- One row per person whose last intake was begun, left alone for a while (telehealth_intake_idle) and not completed.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'care@example.com', 'summary': 'Intake begun, not completed, lately'},
) }}

select
    intakes.person_id,
    intakes.started_at as intake_started_at
from {{ ref('fct_intakes') }} as intakes
where intakes.is_latest
    and intakes.stage = 'started'
    and intakes.started_at <= {{ ago(var('telehealth_intake_idle')) }}
    and intakes.started_at > {{ ago(var('telehealth_intake_days') ~ ' days') }}
    and {{ is_in_care_programme('intakes.person_id') }}
