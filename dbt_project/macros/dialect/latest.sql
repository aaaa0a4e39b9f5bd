{#- Aggregate: the last non-null `value` in the order of the integer `nth`. -#}
{% macro latest(value, nth) -%}
    {{ return(adapter.dispatch('latest')(value, nth)) }}
{%- endmacro %}

{% macro default__latest(value, nth) -%}
    max_by({{ value }}, case when {{ value }} is not null then {{ nth }} end)
{%- endmacro %}

{% macro duckdb__latest(value, nth) -%}
    arg_max({{ value }}, {{ nth }})
{%- endmacro %}

{% macro postgres__latest(value, nth) -%}
    (array_agg({{ value }} order by {{ nth }} desc) filter (where {{ value }} is not null))[1]
{%- endmacro %}
