{#- Text to a UTC timestamp, null when it is none: ISO 8601; an offset is honoured, no zone means UTC. -#}
{% macro parse_time(text) -%}
    {{ return(adapter.dispatch('parse_time')(text)) }}
{%- endmacro %}

{% macro default__parse_time(text) -%}
    try_cast({{ text }} as timestamp)
{%- endmacro %}

{#- A cast to TIMESTAMP would ignore the offset; `infinity` would pass for a time. -#}
{% macro duckdb__parse_time(text) -%}
    case when {{ text }} like '____-%' then try_cast({{ text }} as timestamptz) at time zone 'UTC' end
{%- endmacro %}

{#- Text to an amount of money, null when it is none. -#}
{% macro parse_amount(text) -%}
    {{ return(adapter.dispatch('parse_amount')(text)) }}
{%- endmacro %}

{% macro default__parse_amount(text) -%}
    try_cast({{ text }} as decimal(18, 2))
{%- endmacro %}
