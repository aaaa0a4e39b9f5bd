-- One row when the warehouse has the model of merges.
select 1
from information_schema.tables
where table_catalog = 'wh' and table_schema = 'core' and table_name = 'fct_person_merges'
