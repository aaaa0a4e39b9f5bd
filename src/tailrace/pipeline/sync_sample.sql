-- Some rows per kind of what a sync does, the same ones every time: their keys, and which columns changed.
with named as (
    select
        case when operations.op = 'add' and acknowledged.row_hash = '?' then 'unknown' else operations.op end as kind,
        operations.key
    from operations
    left join acknowledged on acknowledged.key = operations.key
    union all
    select
        'changed' as kind,
        desired.key
    from desired
    inner join acknowledged on acknowledged.key = desired.key
    where $mode = 'append' and acknowledged.row_hash not in ('?', desired.row_hash)
    union all
    select
        case
            when acknowledged.row_hash = '?' then 'unknown'
            when acknowledged.rejected_hash = '' then 'removal refused'
            else 'refused'
        end as kind,
        acknowledged.key
    from acknowledged
    where (acknowledged.row_hash = '?' or acknowledged.rejected_hash is not null)
        and not exists (select 1 from operations where operations.key = acknowledged.key)
),

chosen as (
    select
        kind,
        key,
        row_number() over (partition by kind order by md5(key), key) as place
    from named
)

select
    chosen.kind,
    chosen.key,
    list(differing_columns.name order by differing_columns.name) filter (differing_columns.name is not null) as columns
from chosen
left join differing_columns on differing_columns.key = chosen.key and chosen.kind = 'update'
where chosen.place <= $sample
group by chosen.kind, chosen.key, chosen.place
order by chosen.kind, chosen.place
