-- One row per person with a cancelled line within the last thirty days, to the second.
{{ config(meta={'owner': 'shop@example.com', 'summary': 'Cancelled something within 30 days'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
where {{ performed('invoice_line', within='30 days', where=property('invoice_no') ~ " like 'C%'") }}
