-- grain: none; what cheap screens may ask of a text. A screen may cry wolf, it may never be silent.
-- `case` and not `and`: outside a filter DuckDB evaluates both sides of an `and`.
create or replace macro n_objects(body) as coalesce(len(string_split(body, '{"')) - 1, 0);
create or replace macro maybe_number(x) as case
    when x is null then false
    when x >= '-' and x < ':' then case when x[5] = '-' and x[8] = '-' then false else regexp_full_match(x, '-?[0-9.]+([eE][-+]?[0-9]+)?|-(?i:nan|inf|infinity)') end
    when x >= '[' and x < '\' then true
    when x >= '{' and x < '|' then true
    when strlen(x) < 9 then regexp_full_match(x, 'true|false|\+?(?i:nan|inf|infinity)')
    else false
end;
create or replace macro maybe_not_text(x) as case
    when x is null then false
    when x >= '-' and x < ':' then regexp_full_match(x, '-0|-?[0-9]+[.eE].*|-(?i:nan|inf|infinity)')
    when x >= '[' and x < '\' then true
    when x >= '{' and x < '|' then true
    when strlen(x) < 9 then regexp_full_match(x, 'true|false|\+?(?i:nan|inf|infinity)')
    else false
end;
create or replace macro maybe_constant(body) as case
    when body is null then false
    when contains(body, 'NaN') or contains(body, 'nan') or contains(body, 'Inf') or contains(body, 'inf')
        or contains(body, 'Nan') or contains(body, 'NAN') or contains(body, 'INF')
        then regexp_matches(body, '[:,\[]-?(?i:nan|inf)')
    else false
end;
create or replace macro is_nested_list(body) as case
    when contains(body, '[') then contains(body, '[[') or contains(body, ',[') else false
end;
create or replace macro maybe_inexact(l) as regexp_matches(l, '[:,\[\s]-?[0-9.]{16}|[0-9]{15}[eE]|[0-9][eE]-[0-9]{3}');
create or replace macro moment(x) as case
    when x is null then null
    when x like '____-__-__T__:__:__.___Z' or x like '____-__-__T__:__:__Z'
        then case when substr(x, 12, 2) <> '24' then try_cast(x as timestamp) end
    when regexp_full_match(x, '\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?)?')
        then local_moment(try_cast(x as timestamp))
    when regexp_full_match(x, '\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?(Z|[-+]([01]\d|2[0-3]):?[0-5]\d)')
        then try_cast(x as timestamptz)::timestamp
end
