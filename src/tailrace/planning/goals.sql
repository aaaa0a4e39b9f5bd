-- One row per pass of these versions that reached its goal by now: the first goal event after it entered.
select
    hopeful.{key},
    min(asked.event_at) as goal_at
from {rows} as hopeful
inner join (
    select
        person_id,
        event_at,
        properties
    from goal_events
    where event = {event} and {where}
) as asked on asked.person_id = hopeful.person_id
where hopeful.version in ({versions})
    and hopeful.goal_at is null
    and hopeful.status not in ('ended', 'edited', 'exited', 'restarted')
    and asked.event_at > hopeful.entered_at
    and asked.event_at <= hopeful.entered_at + to_seconds({within})
    and {same}
group by hopeful.{key}
