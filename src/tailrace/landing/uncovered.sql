-- grain: one row per staged row that nothing makes odd but its shape, which was not known when it was read; of a shape whose
-- lines are judged each alone (-1) there is nothing more to know. Not of long lines: thousands of them are read at a time.
select 0 as file_no, s.row_no as line, 0 as part, s.raw as l
from stage as s
left join shapes as k on s.shape = k.shape
where s.raw is not null
    and not s.is_odd
    and s.n_found > coalesce(k.n_objects, -1)
    and k.n_objects is distinct from -1
    and strlen(s.raw) < 2048
