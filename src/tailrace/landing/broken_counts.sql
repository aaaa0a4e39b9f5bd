-- grain: one row per rule that was broken: by rows that are kept out for it, or by rows that land all the same
select broken.code, count(*) as n_events
from broken
inner join rules on broken.code = rules.code
where rules.refuses
    or (
        broken.row_no in (select row_no from ready)
        and broken.row_no not in (select row_no from losers)
    )
group by broken.code, rules.refuses
order by rules.refuses desc, broken.code
