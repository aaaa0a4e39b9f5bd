-- One row per UTC day and move between two states of the saas programme: how many people made it (from null: first seen).
{{ config(enabled='saas' in var('programmes')) }}

select
    cast(started_at as date) as moved_on,
    previous_state as from_state,
    state as to_state,
    count(*) as n_people
from {{ ref('fct_saas_states') }}
group by cast(started_at as date), previous_state, state
