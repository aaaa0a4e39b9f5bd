-- One row per person who bought once, at least three weeks ago.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'shop@example.com', 'summary': 'Bought once, three weeks ago or more, and has not lapsed'},
) }}

select
    states.person_id,
    states.started_at as bought_at
from {{ ref('fct_commerce_states') }} as states
where states.state = 'first_purchase'
    and states.ended_at is null
    and states.started_at <= {{ ago('21 days') }}
