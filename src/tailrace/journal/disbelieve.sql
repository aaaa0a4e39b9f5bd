-- The one batch: what was accepted of it is unknown from now on.
insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)
select
    item_id,
    kind,
    attempt,
    'unknown',
    $code,
    destination,
    $at
from outcomes
where seq = $seq
