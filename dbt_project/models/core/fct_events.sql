-- One row per landed event, orphans included (null person_id).
-- Incremental by load, as a set: loads that the landing shows and this table lacks come in, loads that it no longer shows go.
{{ config(materialized='incremental', tags=['by_load'], pre_hook="{{ forget_loads() }}") }}

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
    context
from {{ ref('int_events_attributed') }}
where {{ is_in_new_load() }}
