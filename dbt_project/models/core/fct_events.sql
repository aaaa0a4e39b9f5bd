-- One row per landed event, orphans included (null person_id).
-- Incremental by load, as a set: loads that the landing shows and this table lacks come in, loads that it no longer shows go.
-- An event that a later load gives to somebody else gets the number of that change in attributed_in (macros/identity.sql).
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook=["{{ attribute_again() }}", "{{ forget_loads() }}"],
    post_hook="{{ note_loads() }}",
) }}

-- depends_on: {{ ref('fct_identity_links') }}, {{ ref('int_anonymous_periods') }}, {{ ref('int_user_merges') }}
select
    event_id,
    source,
    load_id,
    load_seq,
    is_history,
    type,
    event,
    person_id,
    user_id,
    anonymous_id,
    group_id,
    event_at,
    event_on,
    landed_at,
    properties,
    traits,
    context,
    cast(null as bigint) as attributed_in
from {{ ref('int_events_attributed') }}
where {{ is_in_new_load() }}
