-- One row per person whose last intake is paid and waits for a provider's review.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'care@example.com', 'summary': 'Paid, waiting for a provider'},
) }}

select
    intakes.person_id,
    intakes.paid_at
from {{ ref('fct_intakes') }} as intakes
where intakes.is_latest
    and intakes.stage = 'paid'
    and {{ is_in_care_programme('intakes.person_id') }}
