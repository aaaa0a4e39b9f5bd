-- One row per load whose events in fct_events are not as many as were landed: none lost, none twice.
{{ config(tags=['by_load']) }}

with held as (
    select
        load_id,
        count(*) as n_rows
    from {{ ref('fct_events') }}
    group by load_id
)

select
    loads.load_id,
    loads.n_rows as n_landed,
    held.n_rows as n_held
from {{ ref('stg_landing__loads') }} as loads
full outer join held on loads.load_id = held.load_id
where coalesce(loads.n_rows, 0) != coalesce(held.n_rows, 0)
