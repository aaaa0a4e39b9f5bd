-- One row: which server this is, on which of its timelines, and which very table of which database the journal is.
select
    -- A server may keep its number from us; then its address and the rest tell.
    case
        when has_function_privilege('pg_control_system()', 'execute')
            then (select control.system_identifier from pg_control_system() as control)
        else 0
    end as server,
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline,
    (select pg_database.oid::bigint from pg_database where pg_database.datname = current_database()) as database,
    'journal'::regclass::oid::bigint as journal,
    current_schema()::text as schema
