-- grain: one row per table that has rows of the table: itself and its partitions
with recursive below as (
    select %(oid)s::oid as oid
    union
    select i.inhrelid
    from pg_inherits as i
    inner join below as b on i.inhparent = b.oid
)

select oid::bigint from below
