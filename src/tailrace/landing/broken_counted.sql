-- grain: one row per staged row that lands or stays in quarantine, and rule of its contract that it breaks
create or replace view counted as
with landing as (
    -- A join, for it looks for the few that break a rule among the ready ones, and not the other way round.
    select b.row_no
    from (select distinct row_no from broken) as b
    inner join ready as r on b.row_no = r.row_no
    where b.row_no not in (select row_no from losers)
)
select broken.row_no, rules.*
from broken
inner join rules on broken.code = rules.code
-- Neither of them are those who were erased.
where broken.row_no in (select row_no from unlandable)
    or broken.row_no in (select row_no from landing)
