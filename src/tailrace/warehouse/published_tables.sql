-- One row per table or view of the warehouse that readers get, as a table: nothing at the grain of events or of people's days,
-- nothing that a smaller one of the same schema is cut from, nothing half made.
with made as (
    select
        database_name,
        schema_name,
        table_name
    from duckdb_tables()
    union all
    select
        database_name,
        schema_name,
        view_name as table_name
    from duckdb_views()
    where not internal
)

select
    schema_name,
    table_name
from made
where database_name = 'warehouse'
    and schema_name not in ('landing', 'staging', 'intermediate', 'main')
    and not (schema_name = 'core' and table_name in (
        'fct_events', 'fct_person_facts', 'fct_receipts', 'fct_consent_statements', 'fct_sends', 'fct_group_calls', 'fct_commerce_events',
        'fct_person_days', 'fct_person_profiles'
    ))
    and not (schema_name = 'states' and table_name = 'fct_saas_lifecycles')
    and table_name not like '%\_\_dbt\_%' escape '\'
order by schema_name, table_name
