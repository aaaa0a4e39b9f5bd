{#-
    What Customer.io's attribute `cio_subscription_preferences` says: common table expressions, of which the last, `preferences_told`,
    has a row per row of `relation` (`columns` and traits), channel and topic ('' is all of them): says.

    It may be an object, or keys with dots: each names topics and channels, with true or false. Null says nothing; what nobody foresaw
    is read as a wish to hear nothing. The var `customerio_topics` has our names of topics.
-#}
{% macro preferences_told(relation, columns) -%}
{%- set listed = columns | join(', ') -%}
{%- set name = 'cio_subscription_preferences' -%}
traits_told as (
    {{ json_entries(relation, columns, 'traits') }}
),

preferences_whole as (
    select {{ listed }}, value as whole
    from traits_told
    where key = '{{ name }}'
        and substring(value, 1, 1) = '{'
),

preferences_parts as (
    {{ json_entries('preferences_whole', columns, 'whole') }}
),

preferences_grouped as (
    select {{ listed }}, key as about, value as each_of_them
    from preferences_parts
    where key in ('topics', 'channels')
        and substring(value, 1, 1) = '{'
),

preferences_entries as (
    {{ json_entries('preferences_grouped', columns + ['about'], 'each_of_them') }}
),

preferences_named as (
    select {{ listed }}, about, key as name, value
    from preferences_entries
    {%- for about in ['topics', 'channels'] %}

    union all

    select {{ listed }}, '{{ about }}' as about, replace(key, '{{ name }}.{{ about }}.', '') as name, value
    from traits_told
    where key like '{{ name }}.{{ about }}.%'
    {%- endfor %}
),

preferences_told as (
    select
        {{ listed }},
        case when about = 'channels' then lower(name) else '' end as channel,
        case
            when about = 'channels' then ''
            {%- for given, ours in var('customerio_topics').items() %}
            when name = '{{ given | replace("'", "''") }}' then '{{ ours | replace("'", "''") }}'
            {%- endfor %}
            else name
        end as topic,
        case when lower(replace(value, '"', '')) in ('true', 'yes', '1') then 'subscribed' else 'unsubscribed' end as says
    from preferences_named
    where value is not null
        and value not in ('null', '""')
)
{%- endmacro %}
