{#- The value at `key` of the JSON text in `column`, as text; null when absent or null. One key, no path. -#}
{% macro json_text(column, key) -%}
    {%- if not modules.re.fullmatch('[A-Za-z0-9_ .-]+', key) -%}
        {{ exceptions.raise_compiler_error("`" ~ key ~ "` cannot be a JSON key here; expected letters, digits, `_`, `-`, `.` or space") }}
    {%- endif -%}
    {{ return(adapter.dispatch('json_text')(column, key)) }}
{%- endmacro %}

{#- The value at `inner` in the object at `key` of the JSON text in `column`, as text; null when one of them is absent or null. -#}
{% macro json_inner_text(column, key, inner) -%}
    {{ return(adapter.dispatch('json_inner_text')(column, key, inner)) }}
{%- endmacro %}

{% macro default__json_inner_text(column, key, inner) -%}
    get_json_object({{ column }}, '$["{{ key }}"]["{{ inner }}"]')
{%- endmacro %}

{% macro duckdb__json_inner_text(column, key, inner) -%}
    json_extract_string({{ column }}, '$."{{ key }}"."{{ inner }}"')
{%- endmacro %}

{% macro postgres__json_inner_text(column, key, inner) -%}
    (cast({{ column }} as jsonb) #>> array['{{ key }}', '{{ inner }}'])
{%- endmacro %}

{#- Whether the JSON text in `column` has `key` at its top, be its value null. -#}
{% macro json_has(column, key) -%}
    {{ return(adapter.dispatch('json_has')(column, key)) }}
{%- endmacro %}

{% macro default__json_has(column, key) -%}
    array_contains(json_object_keys({{ column }}), '{{ key }}')
{%- endmacro %}

{% macro duckdb__json_has(column, key) -%}
    json_exists({{ column }}, '$."{{ key }}"')
{%- endmacro %}

{% macro postgres__json_has(column, key) -%}
    jsonb_exists(cast({{ column }} as jsonb), '{{ key }}')
{%- endmacro %}

{% macro default__json_text(column, key) -%}
    get_json_object({{ column }}, '$["{{ key }}"]')
{%- endmacro %}

{% macro duckdb__json_text(column, key) -%}
    json_extract_string({{ column }}, '$."{{ key }}"')
{%- endmacro %}

{% macro postgres__json_text(column, key) -%}
    (cast({{ column }} as jsonb) ->> '{{ key }}')
{%- endmacro %}
