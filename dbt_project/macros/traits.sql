{#-
    What an `identify` (or the properties of an event) says of a person, by the names that we have for it and those of the Segment
    spec: `first_name` or `firstName`, a company by its name or as an object with a `name`, the country of an `address`.
-#}

{#- The keys under which an attribute may stand, ours first. -#}
{% macro trait_keys(name) -%}
    {%- set words = name.split('_') -%}
    {{ return([name] + ([words[0] ~ words[1:] | map('capitalize') | join('')] if words | length > 1 else [])) }}
{%- endmacro %}

{#- The value of an attribute in the JSON text `said`, as text; null when it is not there, or null. -#}
{% macro trait(said, name) -%}
    {%- if name == 'company' -%}
        case
            when substring({{ json_text(said, 'company') }}, 1, 1) in ('{', '[') then {{ json_inner_text(said, 'company', 'name') }}
            else {{ json_text(said, 'company') }}
        end
    {%- elif name == 'country' -%}
        coalesce({{ json_text(said, 'country') }}, {{ json_inner_text(said, 'address', 'country') }})
    {%- elif trait_keys(name) | length > 1 -%}
        coalesce(
            {%- for key in trait_keys(name) %}{{ json_text(said, key) }}{{ ", " if not loop.last }}{% endfor -%}
        )
    {%- else -%}
        {{ json_text(said, name) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether `said` names an attribute and gives no value: null, or an empty text. -#}
{% macro is_trait_emptied(said, name) -%}
    (
        {%- for key in trait_keys(name) %}{{ json_has(said, key) }}{{ " or " if not loop.last }}{% endfor -%}
    )
    and concat(
        {%- for key in trait_keys(name) %}trim(coalesce({{ json_text(said, key) }}, '')){{ ", " if not loop.last }}{% endfor -%}
    ) = ''
{%- endmacro %}
