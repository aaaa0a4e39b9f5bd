-- grain: one row per staged row that nothing makes odd but its shape: that was not known when it was read
select 0 as file_no, s.row_no as line, 0 as part, s.raw as l
from stage as s
left join shapes as k on s.shape = k.shape
where s.raw is not null
    and not s.is_odd
    and s.n_found > coalesce(k.n_objects, -1)
