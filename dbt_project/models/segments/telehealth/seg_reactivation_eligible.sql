-- One row per person whose care lapsed long enough ago to ask again, and not so long that asking is a stranger's.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'growth@example.com', 'summary': 'Care lapsed, to be asked back'},
) }}

select
    states.person_id,
    states.started_at as lapsed_at
from {{ ref('fct_telehealth_states') }} as states
where states.state = 'lapsed'
    and states.ended_at is null
    and states.started_at <= {{ ago(var('telehealth_reactivation_days')[0] ~ ' days') }}
    and states.started_at > {{ ago(var('telehealth_reactivation_days')[1] ~ ' days') }}
