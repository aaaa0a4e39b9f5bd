-- grain: one row per rule that was broken: by rows that are kept out for it, or by rows that land all the same
select code, count(*) as n_events
from counted
group by code, refuses
order by refuses desc, code
