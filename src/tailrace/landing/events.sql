-- grain: one row per landed event
select
    r.event_id,
    {source} as source,
    {load_id} as load_id,
    {load_seq}::bigint as load_seq,
    {is_history} as is_history,
    r.type,
    r.event,
    r.user_id,
    r.anonymous_id,
    r.previous_id,
    r.group_id,
    r.event_at,
    {landed_at} as landed_at,
    r.properties,
    r.traits,
    r.context,
    r.rest,
    f.name as file,
    r.line
from ready as r
inner join files as f on r.file_no = f.file_no
where r.row_no not in (select row_no from losers)
