-- One row per person who exported at least three reports within the last seven days, to the second.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'product@example.com', 'summary': 'Exported 3 reports within 7 days'},
) }}

select people.person_id
from {{ ref('dim_people') }} as people
where {{ performed('report_exported', at_least=3, within='7 days') }}
