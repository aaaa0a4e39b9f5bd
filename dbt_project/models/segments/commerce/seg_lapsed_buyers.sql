-- One row per person in the state lapsed: bought before, and nothing for long.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'shop@example.com', 'summary': 'Bought before, nothing for commerce_lapsed_days'},
) }}

select
    states.person_id,
    states.started_at as lapsed_since
from {{ ref('fct_commerce_states') }} as states
where states.state = 'lapsed'
    and states.ended_at is null
