-- One row per active pass of the rule's versions for which an exit condition holds.
with leaving as materialized (
    select
        standing.campaign,
        standing.version,
        standing.{key}
    from {rows} as standing
    where standing.wake_at < {forever}
        and ({holds})
)

select
    leaving.campaign,
    leaving.{key}
from leaving
inner join subjects
    on subjects.rule = {rule} and subjects.campaign = leaving.campaign and subjects.version = leaving.version
