-- One row per enrollment of this version that reached its goal by now: the first goal event after it entered.
with hopeful as (
    select
        enrollment_id,
        person_id,
        entered_at
    from enrolled
    where version = $version and goal_at is null and status <> 'ended'
    union all
    select
        enrollment_id,
        person_id,
        due_at as entered_at
    from entries
    where refused is null and $is_current
)

select
    hopeful.enrollment_id,
    min(events.event_at) as goal_at
from hopeful
inner join wh.core.fct_events as events on events.person_id = hopeful.person_id
where events.event = $goal
    and events.type = 'track'
    and events.event_at <= $as_of
    and events.event_at > hopeful.entered_at
    and events.event_at <= hopeful.entered_at + to_seconds($within)
group by hopeful.enrollment_id
