-- One row when the warehouse was ever prepared by us.
select table_name
from duckdb_tables()
where database_name = 'warehouse'
    and schema_name = 'tailrace'
    and table_name = 'generation'
