-- grain: none; what cheap screens may ask of a text. A screen may cry wolf, it may never be silent.
-- `case` and not `and`: outside a filter DuckDB evaluates both sides of an `and`.
create or replace macro n_objects(body) as coalesce(len(string_split(body, '{"')) - 1, 0);
create or replace macro maybe_not_text(x) as case
    when x is null then false
    when x >= '-' and x < ':' then regexp_full_match(x, '-?[0-9]+([.][0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)')
    when x >= '[' and x < '\' then true
    when x >= '{' and x < '|' then true
    when strlen(x) < 9 then x in ('true', 'false')
    else false
end;
-- NaN and Infinity in any case, nested lists and escaped NULs, in a text as `json` writes it.
create or replace macro maybe_unsound(m) as case
    when m is null then false
    when contains(m, '\u0000') then true
    when contains(m, '[') and (contains(m, '[[') or contains(m, ',[')) then true
    when contains(lower(m), 'nan') or contains(lower(m), 'inf') then regexp_matches(m, '[:,\[]-?(?i:nan|inf)')
    else false
end;
-- The same of a body that stands in the line as `json` writes it. One pattern for each first character: such a character
-- is looked for many times faster than a class of them.
create or replace macro maybe_unsound_body(x) as case
    when x is null then false
    when contains(x, '\u0000') then true
    when regexp_matches(x, ':-?(?i:nan|inf)') then true
    when contains(x, '[') then regexp_matches(x, ',(?:\[|-?(?i:nan|inf))') or regexp_matches(x, '\[(?:\[|-?(?i:nan|inf))')
    else false
end;
create or replace macro numbers(x) as regexp_extract_all(x, '[:,\[\s](-?[0-9][0-9.eE+-]*)', 1);
-- A line `l` that `json` writes otherwise, as `m`: was it only white space, an escape or the spelling of a short number?
-- Writing a line again takes away no character of a text that could begin a number, it can only add some: when as many
-- are found in both, each number of the one stands beside itself in the other, and being equal it was not changed.
create or replace macro maybe_changed(l, m) as case
    when regexp_matches(l, ',\s*[}\]]') then true
    when regexp_matches(l, '[:,\[\s]-?[0-9.]{16}|[0-9]{15}[eE]|[0-9][eE]-[0-9]{3}|[:,\[\s]-0[^.eE]') then numbers(l) <> numbers(m)
    else false
end;
create or replace macro moment(x) as case
    when x is null then null
    when regexp_full_match(x, '\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?Z') then try_cast(x as timestamp)
    when regexp_full_match(x, '\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?)?')
        then local_moment(try_cast(x as timestamp))
    when regexp_full_match(x, '\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?(Z|[-+]([01]\d|2[0-3]):?[0-5]\d)')
        then try_cast(x as timestamptz)::timestamp
end
