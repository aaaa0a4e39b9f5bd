{#-
    What people did, for segments: conditions on a query over people, exact to the second.

        from {{ ref('dim_people') }} as people
        where {{ performed('logged_in', at_least=3, within='7 days') }}
            and {{ not_performed('subscription_started') }}

    event      name as it was sent (case matters)
    at_least   how often at least; 0 includes those who never did
    at_most    how often at most; none is any number
    within     a length of time up to as_of: '7 days', '36 hours'; none is ever
    where      a condition on columns of fct_events, for instance where=property('plan') ~ " = 'pro'"
    type       track; 'page' or 'screen' to count those by their name
    of         the column with the person's key, where the query's alias is not `people`
-#}
{% macro performed(event, at_least=1, at_most=none, within=none, where=none, type='track', of='people.person_id') -%}
    {%- if at_least is not number or at_least < 0 or (at_most is not none and (at_most is not number or at_most < at_least)) -%}
        {{ exceptions.raise_compiler_error(
            "performed('" ~ event ~ "'): at_least and at_most are whole numbers with 0 <= at_least <= at_most"
        ) }}
    {%- endif -%}
    {%- if at_least == 0 and at_most is none -%}
        1 = 1
    {%- elif at_least == 0 -%}
        not {{ _performed(event, 'count(*) > ' ~ at_most, within, where, type, of) }}
    {%- elif at_most is none -%}
        {{ _performed(event, 'count(*) >= ' ~ at_least, within, where, type, of) }}
    {%- else -%}
        {{ _performed(event, 'count(*) between ' ~ at_least ~ ' and ' ~ at_most, within, where, type, of) }}
    {%- endif -%}
{%- endmacro %}

{#- The person did not do it: the opposite of performed(event, …) with the same arguments. -#}
{% macro not_performed(event, within=none, where=none, type='track', of='people.person_id') -%}
    not {{ _performed(event, 'count(*) >= 1', within, where, type, of) }}
{%- endmacro %}

{#- The text of a property of the event, for the `where` of performed. -#}
{% macro property(key) -%}
    {{ json_text('properties', key) }}
{%- endmacro %}

{% macro _performed(event, having, within, where, type, of) -%}
    exists (
        select 1
        from (
            select person_id
            from {{ ref('fct_events') }}
            where type = '{{ type | replace("'", "''") }}'
                and event = '{{ event | replace("'", "''") }}'
                and event_at <= {{ as_of() }}
                {%- if within is not none %}
                and event_at > {{ ago(within) }}
                {%- endif %}
                {%- if where is not none %}
                and ({{ where }})
                {%- endif %}
                and person_id is not null
            group by person_id
            having {{ having }}
        ) as did
        where did.person_id = {{ of }}
    )
{%- endmacro %}
