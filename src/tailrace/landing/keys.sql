-- grain: one row per key at the top of a line; of lines that were judged alone those that were cleared
select distinct unnest(keys) as key from shapes
union
select distinct unnest(try(json_keys(s.raw))) as key
from stage as s
inner join verdicts as v on s.row_no = v.row_no
where v.reason = ''
