-- grain: none; what is asked of the identifiers and times of Customer.io's Track API
create or replace macro unix_moment(x) as case when regexp_full_match(x, '-?[0-9]{1,12}([.][0-9]{1,6})?')
    then make_timestamp((x::decimal(38, 6) * 1000000)::bigint) end;
-- E-mail addresses are the same in any case.
create or replace macro customerio_mail(x) as nullif(lower(trim(x)), '');
create or replace macro n_identifiers(x) as
    ((x ->> '$.id') is not null)::int + ((x ->> '$.email') is not null)::int + ((x ->> '$.phone') is not null)::int
    + ((x ->> '$.cio_id') is not null)::int;
create or replace macro customerio_person(x) as coalesce(
    nullif((x ->> '$.id'), ''), customerio_mail((x ->> '$.email')), nullif((x ->> '$.phone'), ''),
    'cio_' || nullif(regexp_replace((x ->> '$.cio_id'), '^cio_', ''), '')
);
