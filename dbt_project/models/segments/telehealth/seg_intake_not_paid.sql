-- One row per person whose last intake is complete, and for so long as telehealth_payment_idle says nothing was paid for it.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'care@example.com', 'summary': 'Intake completed, not paid, lately'},
) }}

select
    intakes.person_id,
    intakes.completed_at as intake_completed_at,
    intakes.payment_failed_at is not null as has_failed_payment
from {{ ref('fct_intakes') }} as intakes
where intakes.is_latest
    and intakes.stage = 'completed'
    and intakes.completed_at <= {{ ago(var('telehealth_payment_idle')) }}
    and intakes.completed_at > {{ ago(var('telehealth_intake_days') ~ ' days') }}
    and {{ is_in_care_programme('intakes.person_id') }}
