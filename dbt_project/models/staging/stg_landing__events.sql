-- One row per landed event.
-- Trait and property values stay JSON text here: only the few events that say something about a person are parsed, once,
-- in fct_person_facts. An empty user id is no user id.
select
    event_id,
    source,
    load_id,
    load_seq,
    is_history,
    type,
    event,
    nullif(user_id, '') as user_id,
    nullif(anonymous_id, '') as anonymous_id,
    nullif(group_id, '') as group_id,
    event_at,
    cast(event_at as date) as event_on,
    landed_at,
    properties,
    traits
from {{ source('landing', 'events') }}
