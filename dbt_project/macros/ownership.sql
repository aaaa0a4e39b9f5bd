{#-
    Whose word is taken for an attribute of a person: its owner's (`owns.attributes` in contracts/sources/<source>.yml), and
    everybody's for one that no source owns. Decided where facts are read and never where they are kept; what is kept of that is made
    anew for another owner, who so counts from the next build on, for all that has ever landed. docs/ownership.md has the rules.
-#}

{#- What people's facts may say of them: the `attributes` in the meta of fct_person_facts. dbt's unit tests have no graph. -#}
{% macro person_attributes() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for node in graph.get('nodes', {}).values() if node.name == 'fct_person_facts' -%}
            {%- do found.extend(node.config.meta.get('attributes', [])) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- The attributes of which the JSON text in `said` says that there is none, by null or by an empty text: `,email,plan,`. -#}
{% macro cleared_attributes(said) -%}
    concat(
        ','
        {%- for name in person_attributes() or ['email'] %},
        case when {{ is_trait_emptied(said, name) }} then '{{ name }},' else '' end
        {%- endfor %}
    )
{%- endmacro %}

{#-
    The rows of fct_person_facts with these attributes, each null where its source is not the attribute's owner: a relation, `facts`.
    Of those that may be `cleared`, is_<attribute>_cleared is true where the owner said that there is none.

        from {{ owned_facts(['email', 'plan']) }}
-#}
{% macro owned_facts(attributes, cleared=[]) -%}
    (
        select
            said.event_id,
            said.source,
            said.person_id,
            said.event_at,
            said.fact,
            {%- for name in cleared %}
            coalesce(said.cleared like '%,{{ name }},%' and (owned.{{ name }} is null or owned.{{ name }} = said.source), false)
                as is_{{ name }}_cleared,
            {%- endfor %}
            {%- for name in attributes %}
            case when owned.{{ name }} is null or owned.{{ name }} = said.source then said.{{ name }} end as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        from {{ ref('fct_person_facts') }} as said
        cross join (
            select
                {%- for name in attributes %}
                max(case when attribute = '{{ name }}' then source end) as {{ name }}{{ "," if not loop.last }}
                {%- endfor %}
            from {{ source('landing', 'owners') }}
        ) as owned
    ) as facts
{%- endmacro %}
