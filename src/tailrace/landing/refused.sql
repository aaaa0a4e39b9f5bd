-- grain: one row per line that could not be landed
select
    concat_ws('-', {load_id}, q.file_no, q.line, nullif(q.part, 0)) as quarantine_id,
    {load_id} as load_id,
    {load_seq}::bigint as load_seq,
    {source} as source,
    {is_history} as is_history,
    f.name as file,
    q.line,
    q.part,
    q.reason,
    q.detail,
    q.raw,
    f.header,
    'open' as status
from quarantined as q
inner join files as f on q.file_no = f.file_no
