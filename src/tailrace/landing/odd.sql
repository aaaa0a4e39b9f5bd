-- grain: one row per staged row, from the row number $first on, that is judged alone
select s.row_no, s.file_no, s.line, s.raw
from stage as s
left join shapes as k on s.shape = k.shape
where s.row_no >= $first
    and s.raw is not null
    and (s.is_odd or s.n_found > coalesce(k.n_objects, -1))
    and s.row_no not in (select row_no from cleared)
