-- One row per table that every journal has, and which is there.
select pg_class.relname::text as name
from pg_class
where pg_class.relnamespace = current_schema()::regnamespace
    and pg_class.relname in ('migrations', 'journal')
