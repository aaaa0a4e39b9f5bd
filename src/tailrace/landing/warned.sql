-- grain: one row per rule that events of this load break, which land all the same
with kept as (
    select *, {facts} as facts
    from ready
    where type = 'track' and event in ({events}) and row_no not in (select row_no from losers)
),
found as (
    select unnest({codes}) as code
    from kept
)
select code, count(*) as n_events
from found
where code is not null
group by code
order by code
