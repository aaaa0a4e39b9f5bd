-- One row per pass of these versions that the parent plan knew and whose person entered the goal's segment since.
select
    hopeful.{key},
    $as_of::timestamp as goal_at
from {rows} as hopeful
inner join changes on changes.person_id = hopeful.person_id
where hopeful.version in ({versions})
    and hopeful.goal_at is null
    and hopeful.status not in ('ended', 'edited', 'exited', 'restarted')
    and changes.segment = {segment}
    and changes.change = 'entered'
    and changes.cause = 'behaviour'
    and $as_of <= hopeful.entered_at + to_seconds({within})
