{#- The JSON scalar in `column` as text; null when it is null. -#}
{% macro json_value(column) -%}
    {{ return(adapter.dispatch('json_value')(column)) }}
{%- endmacro %}

{% macro default__json_value(column) -%}
    get_json_object({{ column }}, '$')
{%- endmacro %}

{% macro duckdb__json_value(column) -%}
    json_extract_string({{ column }}, '$')
{%- endmacro %}

{% macro postgres__json_value(column) -%}
    (cast({{ column }} as jsonb) #>> '{}')
{%- endmacro %}
