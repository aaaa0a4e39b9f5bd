-- One row per person with exactly one invoice so far, not counting cancellations.
{{ config(meta={'owner': 'shop@example.com', 'summary': 'Bought once, not again yet'}) }}

select person_id
from {{ ref('fct_events') }}
where event = 'invoice_line'
    and event_at <= {{ as_of() }}
    and person_id is not null
    and {{ property('invoice_no') }} not like 'C%'
group by person_id
having count(distinct {{ property('invoice_no') }}) = 1
