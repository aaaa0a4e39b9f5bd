-- grain: one row per piece that has rows that land; what is to be known of all of them, in one reading
create table tally as
select
    row_no >> {bits} as piece,
    count(*) as n_rows,
    sum(epoch_us(event_at)::hugeint) as moments,
    min(event_at) as first_at,
    max(event_at) as last_at
from ready
where row_no not in (select row_no from losers)
group by row_no >> {bits}
