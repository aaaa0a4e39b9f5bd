-- grain: one row per event whose contract keeps lines in quarantine
-- The detail of such a line begins with the name of its event: broken_verdicts.sql.
select regexp_extract(detail, '^(.*?): `', 1, 's') as event, count(*) as n_lines
from read_parquet($files)
where reason = $reason and quarantine_id not in (select quarantine_id from {resolved})
group by event
order by event
