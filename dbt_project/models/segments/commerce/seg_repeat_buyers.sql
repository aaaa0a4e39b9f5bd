-- One row per person in the state repeat: bought twice or more and not lapsed.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'shop@example.com', 'summary': 'Bought at least twice and has not lapsed'},
) }}

select
    states.person_id,
    states.started_at as repeat_since
from {{ ref('fct_commerce_states') }} as states
where states.state = 'repeat'
    and states.ended_at is null
