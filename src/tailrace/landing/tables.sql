-- grain: none; the tables of one landing
create table no_rows (
    file_no integer, line bigint, part integer, raw varchar, is_odd boolean, is_verbatim boolean, shape ubigint, is_shape_new boolean,
    n_found bigint, why varchar, event_id varchar, type varchar, event varchar, user_id varchar, anonymous_id varchar,
    previous_id varchar, group_id varchar, event_at timestamp, properties varchar, traits varchar, context varchar,
    rest varchar
);
create table shapes (shape ubigint, n_objects bigint, is_plain boolean, keys varchar[]);
create table verdicts (row_no bigint, reason varchar, detail varchar);
create table cleared (row_no bigint);
create table calls (file_no integer, line bigint, part integer, l varchar);
create table refused (file_no integer, line bigint, part integer, reason varchar, detail varchar, raw blob);
create table files (file_no integer, name varchar, header varchar);
create table losers (row_no bigint, is_conflicting boolean);
create table landed_before (event_id varchar, content ubigint);
