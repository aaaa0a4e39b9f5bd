-- grain: one row per rule that was broken: by rows that are kept out for it, or by rows that land all the same
with landing as (
    -- A join, for it looks for the few that break a rule among the ready ones, and not the other way round.
    select b.row_no
    from (select distinct row_no from broken) as b
    inner join ready as r on b.row_no = r.row_no
    where b.row_no not in (select row_no from losers)
)
select broken.code, count(*) as n_events
from broken
inner join rules on broken.code = rules.code
where rules.refuses
    or broken.row_no in (select row_no from landing)
group by broken.code, rules.refuses
order by rules.refuses desc, broken.code
