-- One row per pass of these versions that reached its goal by now: the first goal event after it entered.
select
    hopeful.{key},
    min(goal_events.event_at) as goal_at
from {rows} as hopeful
inner join goal_events on goal_events.person_id = hopeful.person_id
where hopeful.version in ({versions})
    and hopeful.goal_at is null
    and hopeful.status not in ('ended', 'edited', 'exited', 'restarted')
    and goal_events.event_at > hopeful.entered_at
    and goal_events.event_at <= hopeful.entered_at + to_seconds($within)
group by hopeful.{key}
