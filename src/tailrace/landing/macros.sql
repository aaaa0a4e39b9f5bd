-- grain: none; what cheap screens may ask of a text. A screen may cry wolf, it may never be silent.
-- A number for an id, the same in any version of DuckDB: the upper half of its MD5. `md5_number_lower` takes three times as long.
create or replace macro id_number(id) as (md5_number(id) >> 64)::ubigint;
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
-- NaN and Infinity in any case, nested lists and escaped NULs, in a text as `json` writes it. One pattern for each first
-- character: such a character is looked for many times faster than a class of them.
create or replace macro maybe_unsound(x) as case
    when x is null then false
    when contains(x, '\u0000') then true
    when regexp_matches(x, ':-?(?i:nan|inf)') then true
    when contains(x, '[') then regexp_matches(x, ',(?:\[|-?(?i:nan|inf))') or regexp_matches(x, '\[(?:\[|-?(?i:nan|inf))')
    else false
end;
create or replace macro numbers(x) as regexp_extract_all(x, '[:,\[\s](-?[0-9][0-9.eE+-]*)', 1);
-- A line of which only characters beyond ASCII are escaped is, without them, what `json` writes without them. With no
-- escaped backslash every backslash begins an escape, so texts end at the same place in both, and so does each number.
create or replace macro is_only_escaped(l, m) as case
    when not contains(l, '\u') or contains(l, '\\') then false
    else regexp_replace(l, '\\u(?:00[89a-fA-F]|0[1-9a-fA-F][0-9a-fA-F]|[1-9a-fA-F][0-9a-fA-F]{2})[0-9a-fA-F]', '', 'g')
        = regexp_replace(m, '[^\x00-\x7f]+', '', 'g')
end;
-- A line `l` that `json` writes otherwise, as `m`: was it only white space, an escape or the spelling of a short number?
-- Writing a line again takes away no character of a text that could begin a number, it can only add some: when as many
-- are found in both, each number of the one stands beside itself in the other, and being equal it was not changed.
create or replace macro maybe_changed(l, m) as case
    when is_only_escaped(l, m) then false
    when regexp_matches(l, ',\s*[}\]]') then true
    when regexp_matches(l, '[:,\[\s]-?[0-9.]{16}|[0-9]{15}[eE]|[0-9][eE]-[0-9]{3}|[:,\[\s]-0[^.eE]') then numbers(l) <> numbers(m)
    else false
end;
-- The commonest spelling comes first, told without a pattern: of what has its marks in these places and the cast would
-- take, the pattern refuses the hour 24 and an hour that begins with a space, and nothing else.
create or replace macro moment(x) as case
    when x is null then null
    when x like '____-__-__T__:__:__.___Z' and x >= '1' and x < '3' and not contains(x, ' ') and not contains(x, 'T24')
        then try_cast(x as timestamp)
    when regexp_full_match(x, '\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?Z') then try_cast(x as timestamp)
    when regexp_full_match(x, '\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?)?')
        then local_moment(try_cast(x as timestamp))
    when regexp_full_match(x, '\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?(Z|[-+]([01]\d|2[0-3]):?[0-5]\d)')
        then try_cast(x as timestamptz)::timestamp
end
