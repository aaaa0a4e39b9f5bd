-- One row per landed event, with the person it belongs to: its user id's, else the one its anonymous id belongs to then; who
-- was given up in an alias is who they are now.
-- An event without either is an orphan (null person_id): kept, counted, never dropped.
select
    events.event_id,
    events.source,
    events.load_id,
    events.load_seq,
    events.is_history,
    events.type,
    events.event,
    {{ person_key('coalesce(merged.into_user_id, events.user_id, periods.user_id)') }} as person_id,
    events.user_id,
    events.anonymous_id,
    events.group_id,
    events.event_at,
    events.event_on,
    events.landed_at,
    events.properties,
    events.traits,
    events.context
from {{ ref('stg_landing__events') }} as events
left join {{ ref('int_anonymous_periods') }} as periods
    on events.user_id is null
        and events.anonymous_id = periods.anonymous_id
        and (periods.started_at is null or events.event_at > periods.started_at)
        and (periods.ended_at is null or events.event_at <= periods.ended_at)
left join {{ ref('int_user_merges') }} as merged
    on coalesce(events.user_id, periods.user_id) = merged.user_id
