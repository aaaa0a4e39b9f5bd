{#-
    A query over `columns`, key, value: one row per key at the top of the JSON object in `json` of `relation`; value is JSON text.
    Rows whose JSON is null have none. On Spark a text loses its quotes: there every value is text again in json_object_of.
-#}
{% macro json_entries(relation, columns, json) -%}
    {{ return(adapter.dispatch('json_entries')(relation, columns, json)) }}
{%- endmacro %}

{% macro default__json_entries(relation, columns, json) -%}
    select {{ columns | join(', ') }}, key, to_json(value) as value
    from {{ relation }}
    lateral view explode(from_json({{ json }}, 'map<string, string>')) entries as key, value
{%- endmacro %}

{% macro duckdb__json_entries(relation, columns, json) -%}
    select {{ columns | join(', ') }}, entry.key as key, cast(entry.value as varchar) as value
    from (
        select {{ columns | join(', ') }}, unnest(map_entries(cast(cast({{ json }} as json) as map(varchar, json)))) as entry
        from {{ relation }}
        where {{ json }} is not null
    ) as entries
{%- endmacro %}

{% macro postgres__json_entries(relation, columns, json) -%}
    select {{ columns | join(', ') }}, entry.key as key, cast(entry.value as text) as value
    from {{ relation }}
    cross join lateral jsonb_each(cast({{ json }} as jsonb)) as entry
{%- endmacro %}

{#- Aggregate: JSON text of an object with each `key` and its `value` (JSON text), in the order of the keys. -#}
{% macro json_object_of(key, value) -%}
    {{ return(adapter.dispatch('json_object_of')(key, value)) }}
{%- endmacro %}

{% macro default__json_object_of(key, value) -%}
    concat('{', array_join(array_sort(collect_list(concat(to_json({{ key }}), ':', {{ value }}))), ','), '}')
{%- endmacro %}

{% macro duckdb__json_object_of(key, value) -%}
    '{' || string_agg(cast(to_json({{ key }}) as varchar) || ':' || {{ value }}, ',' order by {{ key }}) || '}'
{%- endmacro %}

{% macro postgres__json_object_of(key, value) -%}
    '{' || string_agg(cast(to_json({{ key }}) as text) || ':' || {{ value }}, ',' order by {{ key }} collate "C") || '}'
{%- endmacro %}
