-- One row per landed event, with the person it belongs to.
-- A person is a user id; an event without one is an orphan (null person_id): kept, counted, never dropped.
select
    event_id,
    source,
    load_id,
    load_seq,
    is_history,
    type,
    event,
    {{ person_key('user_id') }} as person_id,
    user_id,
    anonymous_id,
    group_id,
    event_at,
    event_on,
    landed_at,
    properties,
    traits,
    context
from {{ ref('stg_landing__events') }}
