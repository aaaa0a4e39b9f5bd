-- grain: one row: which server numbers the transactions, and the oldest one that has not ended
select
    -- Of another server, or after a switch to a standby, the same numbers may be other transactions.
    case
        when has_function_privilege('pg_control_system()', 'execute')
            then (select s.system_identifier::text from pg_control_system() as s)
        else ''
    end as server,
    case
        when not pg_is_in_recovery()
            then ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
        when has_function_privilege('pg_control_checkpoint()', 'execute')
            then (select c.timeline_id from pg_control_checkpoint() as c)
        else 0
    end as timeline,
    (select d.oid::bigint from pg_database as d where d.datname = current_database()) as database,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon
