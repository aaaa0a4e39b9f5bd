-- grain: one row per column, in the table's order
select
    attname,
    format_type(atttypid, atttypmod)
from pg_attribute
where attrelid = %(oid)s
    and attnum > 0
    and not attisdropped
order by attnum
