-- One row per pass of the rule's versions that the parent plan knew and whose person entered the goal's segment since.
with close as materialized (
    select
        hopeful.campaign,
        hopeful.version,
        hopeful.{key},
        hopeful.entered_at,
        changes.segment
    from {rows} as hopeful
    inner join changes on changes.person_id = hopeful.person_id
    where hopeful.goal_at is null
        and hopeful.status not in ('ended', 'edited', 'exited', 'restarted', 'merged')
        and changes.change = 'entered'
        and changes.cause = 'behaviour'
)

select
    close.campaign,
    close.{key},
    $as_of::timestamp as goal_at,
    subjects.ends
from close
inner join subjects
    on subjects.rule = {rule}
        and subjects.campaign = close.campaign
        and subjects.version = close.version
        and subjects.segment = close.segment
where $as_of <= close.entered_at + to_seconds(subjects.within)
