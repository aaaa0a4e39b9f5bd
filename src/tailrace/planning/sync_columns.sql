-- One row per row that is updated and column whose value is another one than the destination has accepted.
-- name: `?` where an earlier version kept no more than a hash of the row; null where no column differs, and the row is only
-- said again.
with updated as (
    select
        operations.key,
        {cells} as cells,
        acknowledged.columns as columns_before,
        acknowledged.cells as cells_before
    from operations
    inner join acknowledged on acknowledged.key = operations.key
    where operations.op = 'update' and acknowledged.row_hash is not null
),

after as (
    select
        key,
        unnest({names}::varchar[]) as name,
        unnest(cells) as cell
    from updated
    where cells_before is not null
),

before as (
    select
        key,
        unnest(from_json(columns_before, '["varchar"]')) as name,
        unnest(cells_before) as cell
    from updated
    where cells_before is not null
),

differing as (
    select
        coalesce(after.key, before.key) as key,
        coalesce(after.name, before.name) as name
    from after
    full outer join before on before.key = after.key and before.name = after.name
    where after.cell is distinct from before.cell
)

select
    updated.key,
    case when updated.cells_before is null then '?' else differing.name end as name
from updated
left join differing on differing.key = updated.key
