-- One row per person in the state at_risk who pays or is trying the product: quiet for two weeks, not yet for thirty days.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'success@example.com', 'summary': 'Paying or in trial, quiet for 14 to 30 days'},
) }}

select
    states.person_id,
    states.started_at as at_risk_since
from {{ ref('fct_saas_states') }} as states
inner join {{ ref('dim_people') }} as people on states.person_id = people.person_id
where states.state = 'at_risk'
    and states.ended_at is null
    and people.subscription_status in ('trial', 'active', 'past_due', 'ending')
