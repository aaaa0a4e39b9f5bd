{#-
    Objects: accounts, and whatever else people belong to (var `objects`; the first is what a `group` call is about unless its
    traits say otherwise, in `object`). docs/programmes.md has the rules.
-#}

{#-
    Which object an event is about, over the landing's columns: the call's own groupId, else `context.groupId`, else, of a
    track event, the property `<object>_id` of the first object in the var that has one. Null for most events.
    The text is searched first: parsing the JSON of every event for what few of them have would cost more than all the rest.
-#}
{% macro event_object_id() -%}
    coalesce(
        nullif(group_id, ''),
        case when context like '%"groupId"%' then nullif({{ json_text('context', 'groupId') }}, '') end
        {%- for object in var('objects') %},
        case when type = 'track' and properties like '%"{{ object }}\_id"%' escape '\' then nullif({{ json_text('properties', object ~ '_id') }}, '') end
        {%- endfor %}
    )
{%- endmacro %}

{#- The object with this number among Customer.io's types, which are counted from 1: that of the var; the number itself beyond. -#}
{% macro object_of_type(number) -%}
    case nullif(trim({{ number }}), '')
        {%- for object in var('objects') %}
        when '{{ loop.index }}' then '{{ object }}'
        {%- endfor %}
        else nullif(trim({{ number }}), '')
    end
{%- endmacro %}

{#-
    Whether an event is about an object and names nobody, not even an anonymous id: no person is missing from it. Over the
    columns of fct_events.
-#}
{% macro is_object_call() -%}
    (person_id is null and user_id is null and anonymous_id is null and group_id is not null)
{%- endmacro %}
