{#-
    Aggregate: the last non-null `value` in the order of the integer `nth`; where the condition `or_null` is true of a row, its null
    counts, too.
-#}
{% macro latest(value, nth, or_null=none) -%}
    {{ return(adapter.dispatch('latest')(value, nth, or_null)) }}
{%- endmacro %}

{% macro default__latest(value, nth, or_null) -%}
    max_by({{ value }}, case when {{ value }} is not null{{ " or " ~ or_null if or_null }} then {{ nth }} end)
{%- endmacro %}

{% macro duckdb__latest(value, nth, or_null) -%}
    {%- if or_null -%}
        arg_max_null({{ value }}, case when {{ value }} is not null or {{ or_null }} then {{ nth }} end)
    {%- else -%}
        arg_max({{ value }}, {{ nth }})
    {%- endif -%}
{%- endmacro %}

{% macro postgres__latest(value, nth, or_null) -%}
    (array_agg({{ value }} order by {{ nth }} desc) filter (where {{ value }} is not null{{ " or " ~ or_null if or_null }}))[1]
{%- endmacro %}
