{#- Text to a UTC timestamp, null when it is none: ISO 8601; an offset is honoured, no zone means UTC; or Unix
    seconds (9 or 10 digits), as Customer.io has times. -#}
{% macro parse_time(text) -%}
    {{ return(adapter.dispatch('parse_time')(text)) }}
{%- endmacro %}

{% macro default__parse_time(text) -%}
    case when {{ text }} rlike '^[0-9]{9,10}$' then timestamp_seconds(cast({{ text }} as bigint)) else try_cast({{ text }} as timestamp) end
{%- endmacro %}

{#- A cast to TIMESTAMP would ignore the offset; `infinity` would pass for a time. -#}
{% macro duckdb__parse_time(text) -%}
    case
        when {{ text }} like '____-%' then try_cast({{ text }} as timestamptz) at time zone 'UTC'
        when regexp_full_match({{ text }}, '[0-9]{9,10}') then make_timestamp(cast({{ text }} as bigint) * 1000000)
    end
{%- endmacro %}

{#- Text to an amount of money, null when it is none. -#}
{% macro parse_amount(text) -%}
    {{ return(adapter.dispatch('parse_amount')(text)) }}
{%- endmacro %}

{% macro default__parse_amount(text) -%}
    try_cast({{ text }} as decimal(18, 2))
{%- endmacro %}
