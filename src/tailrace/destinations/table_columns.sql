-- One row per column of the table, by name.
select attname::text
from pg_attribute
where attrelid = to_regclass(%(relation)s) and attnum > 0 and not attisdropped
