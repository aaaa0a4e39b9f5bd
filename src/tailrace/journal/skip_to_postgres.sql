-- One row: the number that the table gave last is $number, or what it is already.
select
    setval(
        pg_get_serial_sequence($table, columns.attname),
        greatest($number, coalesce(pg_sequence_last_value(pg_get_serial_sequence($table, columns.attname)::regclass), 0))
    )
from pg_attribute as columns
where columns.attrelid = cast($table as regclass)
    and columns.attidentity <> ''
