-- One row per person in the state dormant: no use for thirty days, not yet for ninety.
{{ config(enabled='saas' in var('programmes'), meta={'owner': 'success@example.com', 'summary': 'No use for 30 to 90 days'}) }}

select
    states.person_id,
    states.started_at as dormant_since
from {{ ref('fct_saas_states') }} as states
where states.state = 'dormant'
    and states.ended_at is null
