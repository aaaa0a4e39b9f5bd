-- One row: of the rows that are desired, how many the destination was told of, and what it said of them.
-- accepted: as they are now; an append says a row once, in the form of then. unknown: it may have them.
select
    count(*) as desired,
    count(*) filter (standing is not null) as sent,
    count(*) filter (standing = 'accepted') as accepted,
    count(*) filter (standing = 'unknown') as unknown,
    count(*) filter (standing = 'refused') as refused
from (
    select
        case
            when acknowledged.row_hash = '?' then 'unknown'
            when acknowledged.row_hash in (desired.row_hash, $again || desired.row_hash) then 'accepted'
            when $mode = 'append' and acknowledged.row_hash is not null then 'accepted'
            when acknowledged.rejected_hash = desired.row_hash then 'refused'
        end as standing
    from desired
    left join acknowledged on acknowledged.key = desired.key
)
