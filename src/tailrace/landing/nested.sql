-- grain: none; what is asked of a column, as JSON, that has to hold an object or text that is one
-- What is wrong with such a text, null when nothing is. An object of values, each key once, that `json` writes as it stands
-- (macros.sql) needs no judge. `case` and not `and`: outside a filter DuckDB evaluates both sides of an `and`.
create or replace macro text_fault(x) as case
    when x is null or trim(x, e' \t\r\n') in ('', 'null') then null
    when try(json(x)) is null or n_objects(x) > 1 then judged_object(x)
    when not starts_with(json(x)::varchar, '{') then 'body_not_an_object'
    when len(json_keys(x)) <> len(list_distinct(json_keys(x))) or maybe_unsound(json(x)::varchar) then judged_object(x)
    when x <> json(x)::varchar and maybe_changed(x, json(x)::varchar) then judged_object(x)
end;
create or replace macro object_fault(j) as case json_type(j)
    when 'OBJECT' then null
    when 'NULL' then null
    when 'VARCHAR' then text_fault(j ->> '$')
    else case when j is not null then 'body_not_an_object' end
end;
create or replace macro as_object(j) as case json_type(j)
    when 'VARCHAR' then nullif(try(json(j ->> '$')), 'null'::json)
    when 'NULL' then null
    else j
end;
-- An id that stands below: a number is one only when it is whole.
create or replace macro id_fault(j) as case json_type(j)
    when 'DOUBLE' then 'id_not_exact'
    when 'BOOLEAN' then 'id_not_text'
    when 'ARRAY' then 'id_not_text'
    when 'OBJECT' then 'id_not_text'
end;
