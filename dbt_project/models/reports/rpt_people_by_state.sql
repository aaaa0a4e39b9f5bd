-- One row per state of the saas programme: how many people are in it at as_of, and how many of them pay.
{{ config(enabled='saas' in var('programmes')) }}

select
    states.state,
    count(*) as n_people,
    sum(case when people.subscription_status in ('active', 'past_due', 'ending') then 1 else 0 end) as n_paying,
    sum(people.mrr) as mrr
from {{ ref('fct_saas_states') }} as states
inner join {{ ref('dim_people') }} as people on states.person_id = people.person_id
where states.ended_at is null
group by states.state
