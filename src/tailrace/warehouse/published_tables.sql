-- One row per table of the warehouse that readers get: nothing at event grain, nothing half made.
select
    schema_name,
    table_name
from duckdb_tables()
where database_name = 'warehouse'
    and schema_name not in ('landing', 'staging', 'intermediate', 'main')
    and not (schema_name = 'core' and table_name in (
        'fct_events', 'fct_person_facts', 'fct_receipts', 'fct_consent_statements', 'fct_sends', 'fct_group_calls', 'fct_commerce_events'
    ))
    and table_name not like '%\_\_dbt\_%' escape '\'
order by schema_name, table_name
