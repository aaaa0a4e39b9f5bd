-- grain: one row per row of the table that may be new, as one line of JSON
copy (
    -- A value of type json keeps its line breaks, which are white space there and nothing else.
    select translate(row_to_json(r)::text, E'\n\r', '  ')
    from (select {columns} from {relation} where {where} {order}) as r
) to stdout (format csv, delimiter E'\x02', quote E'\x01', encoding 'UTF8')
