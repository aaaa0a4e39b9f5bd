-- grain: one row per event whose contract keeps lines in quarantine
-- The detail of such a line begins with the name of its event, which broken_verdicts.sql writes as JSON where it has a backtick
-- or begins with a quote. So in any other the first backtick is that of the first property, whatever else the name has.
select
    coalesce(
        try(json_extract_string(nullif(regexp_extract(detail, '^("(?:[^"\\]|\\.)*"): `', 1), ''), '$')),
        regexp_extract(detail, '^(.*?): `', 1, 's')
    ) as event,
    count(*) as n_lines
from read_parquet($files)
where reason = $reason and quarantine_id not in (select quarantine_id from {resolved})
group by event
order by event
