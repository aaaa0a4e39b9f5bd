{#- What is true of every table of a folder, asked after it is made and before it is committed: no test to add by hand. -#}

{% macro check_segment_shape() %}
    {%- if execute -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- if columns[0] != 'person_id' -%}
            {{ exceptions.raise_compiler_error(
                "the first column is `" ~ columns[0] ~ "`; expected `person_id`: a segment has one row per person"
            ) }}
        {%- endif -%}
        {{ check_grain(['person_id']) }}
    {%- endif -%}
{% endmacro %}

{% macro check_object_segment_shape() %}
    {%- if execute -%}
        {%- if not (config.get('meta') or {}).get('object') -%}
            {{ exceptions.raise_compiler_error("its meta names no object; expected `meta={'object': 'account', …}` in its config") }}
        {%- endif -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- if columns[0] != 'object_id' -%}
            {{ exceptions.raise_compiler_error(
                "the first column is `" ~ columns[0] ~ "`; expected `object_id`: an object segment has one row per object"
            ) }}
        {%- endif -%}
        {{ check_grain(['object_id']) }}
    {%- endif -%}
{% endmacro %}

{% macro check_sync_shape() %}
    {%- if execute -%}
        {%- set keys = (config.get('meta') or {}).get('keys') or [] -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- if not keys or columns[:keys | length] != keys -%}
            {{ exceptions.raise_compiler_error(
                "the first columns are " ~ columns ~ "; expected the keys that its meta names, " ~ keys ~ ", then the fields"
            ) }}
        {%- endif -%}
        {{ check_grain(keys) }}
    {%- endif -%}
{% endmacro %}

{#- Raises unless `columns` are never null and unique together in the model that was just made. -#}
{% macro check_grain(columns) %}
    {%- set broken = run_query(grain_violations(this, columns)).columns[0].values()[0] | int -%}
    {%- if broken -%}
        {{ exceptions.raise_compiler_error(
            broken ~ " values of (" ~ columns | join(', ') ~ ") are null or occur more than once; expected one row each"
        ) }}
    {%- endif -%}
{% endmacro %}

{#- Number of keys that are null or occur more than once. -#}
{% macro grain_violations(relation, columns) -%}
    select count(*) as n_broken
    from (
        select 1 as broken
        from {{ relation }}
        group by {{ columns | join(', ') }}
        having count(*) > 1
            {%- for column in columns %}
            or {{ column }} is null
            {%- endfor %}
    ) as keys
{%- endmacro %}
