-- `xmin` has the lower 32 bits of a transaction's number: how long ago it began, counted back from the next one to begin,
-- tells the same. A partition that was not read before has rows of old transactions, too.
(
    (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - xmin::text::bigint - 1 + 4294967296) % 4294967296
    < pg_snapshot_xmax(pg_current_snapshot())::text::bigint - {horizon}
    and {since}
)
or {new}
