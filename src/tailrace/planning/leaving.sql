-- One row per active pass of these versions for which an exit condition holds.
select standing.{key}
from {rows} as standing
where standing.wake_at < {forever}
    and standing.version in ({versions})
    and ({holds})
