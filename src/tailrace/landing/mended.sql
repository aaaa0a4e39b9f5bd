-- grain: one row per event that a retry takes out of quarantine, where its contract had kept it
select r.event, count(*) as n_lines
from ready as r
inner join files as f on r.file_no = f.file_no
inner join taken as t on t.file = f.name and t.header is not distinct from f.header and t.line = r.line and t.part = r.part
where t.reason = {reason}
group by r.event
order by r.event
