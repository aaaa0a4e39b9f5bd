-- One row per pass of the rule's versions that reached its goal by now: the first goal event after it entered.
-- Few people have such an event, and most passes are none of theirs: their versions are looked at last.
with close as materialized (
    select
        hopeful.campaign,
        hopeful.version,
        hopeful.{key},
        hopeful.entered_at,
        asked.event,
        asked.event_at
    from {rows} as hopeful
    inner join (
        select
            event,
            person_id,
            event_at,
            properties
        from goal_events
        where {where}
    ) as asked on asked.person_id = hopeful.person_id
    where hopeful.goal_at is null
        and hopeful.status not in ('ended', 'edited', 'exited', 'restarted', 'merged')
        and asked.event_at > hopeful.entered_at
        and {same}
)

select
    close.campaign,
    close.{key},
    min(close.event_at) as goal_at,
    bool_or(subjects.ends) as ends
from close
inner join subjects
    on subjects.rule = {rule}
        and subjects.campaign = close.campaign
        and subjects.version = close.version
        and subjects.event = close.event
where close.event_at <= close.entered_at + to_seconds(subjects.within)
group by close.campaign, close.{key}
