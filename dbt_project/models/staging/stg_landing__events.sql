-- One row per landed event.
-- Trait and property values stay JSON text here: only the few events that say something about a person are parsed, once,
-- in fct_person_facts. An empty user id is no user id.
-- group_id is the account (or other object) that the event is about: macros/objects.sql says where it is found.
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
    nullif(previous_id, '') as previous_id,
    {{ event_object_id() }} as group_id,
    event_at,
    cast(event_at as date) as event_on,
    landed_at,
    properties,
    traits,
    context
from {{ source('landing', 'events') }}
