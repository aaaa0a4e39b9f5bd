-- One row per event of a load that had happened by the last instant; piece: the first instant that would have seen it,
-- from 1, or 0 for what had happened before the branch begins.
select
    events.* replace (
        $load_id || '-' || runs.piece as load_id,
        $seq + runs.piece as load_seq,
        runs.piece = 0 as is_history,
        runs.seen_at as landed_at
    ),
    runs.piece
from {events} as events
asof join runs on events.event_at <= runs.seen_at
where events.load_id = $load_id
