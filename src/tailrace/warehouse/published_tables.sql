-- One row per table of the warehouse that readers get: nothing at the grain of events or of people's days, nothing that a
-- smaller table of the same schema is cut from, nothing half made.
select
    schema_name,
    table_name
from duckdb_tables()
where database_name = 'warehouse'
    and schema_name not in ('landing', 'staging', 'intermediate', 'main')
    and not (schema_name = 'core' and table_name in (
        'fct_events', 'fct_person_facts', 'fct_receipts', 'fct_consent_statements', 'fct_sends', 'fct_group_calls', 'fct_commerce_events',
        'fct_person_days'
    ))
    and not (schema_name = 'states' and table_name = 'fct_saas_lifecycles')
    and table_name not like '%\_\_dbt\_%' escape '\'
order by schema_name, table_name
