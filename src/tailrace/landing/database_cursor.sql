-- grain: one row: the first transaction that had not begun to write, and where the cursor stands: not beyond now
select
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as following,
    least(max({cursor}), {most})::{kind}::text as stands
from {relation}
where {known}
