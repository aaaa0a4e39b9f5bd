-- One row when the rollup and the events do not agree on how many events people did.
{{ config(tags=['by_load']) }}

with rolled as (
    select coalesce(sum(n_events), 0) as n_events
    from {{ ref('fct_person_days') }}
),

held as (
    select count(*) as n_events
    from {{ ref('fct_events') }}
    where {{ is_done_by_person() }}
)

select
    rolled.n_events as n_rolled,
    held.n_events as n_held
from rolled
cross join held
where rolled.n_events != held.n_events
