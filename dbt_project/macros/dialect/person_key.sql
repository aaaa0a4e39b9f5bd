{#- A person's key: the first 60 bits of md5(user_id) as a BIGINT. `tailrace.ids.person_id` computes the same. -#}
{% macro person_key(user_id) -%}
    {{ return(adapter.dispatch('person_key')(user_id)) }}
{%- endmacro %}

{% macro default__person_key(user_id) -%}
    cast(conv(substring(md5({{ user_id }}), 1, 15), 16, 10) as bigint)
{%- endmacro %}

{% macro duckdb__person_key(user_id) -%}
    cast('0x' || substring(md5({{ user_id }}), 1, 15) as bigint)
{%- endmacro %}

{% macro postgres__person_key(user_id) -%}
    cast(('x0' || substring(md5({{ user_id }}), 1, 15))::bit(64) as bigint)
{%- endmacro %}
