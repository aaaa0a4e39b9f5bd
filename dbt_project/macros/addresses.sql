{#-
    What people are reached at, as far as the project's people have it: the attribute of theirs, how an address of the kind
    begins as a subject, and the channels that go there. `phone` and `push_token` count as soon as fct_person_facts has them.
-#}
{% macro address_kinds() -%}
    {%- set kinds = [{'attribute': 'email', 'prefix': 'a:', 'channels': ['email']}] -%}
    {%- set known = person_attributes() -%}
    {%- if 'phone' in known -%}
        {%- do kinds.append({'attribute': 'phone', 'prefix': 'n:', 'channels': ['sms', 'whatsapp']}) -%}
    {%- endif -%}
    {%- if 'push_token' in known -%}
        {%- do kinds.append({'attribute': 'push_token', 'prefix': 't:', 'channels': ['push']}) -%}
    {%- endif -%}
    {{ return(kinds) }}
{%- endmacro %}

{#- A telephone number as it is compared: without what is written between its digits, and with + before its country's code. -#}
{% macro bare_number(number) -%}
    {%- set bare = "translate(replace(replace(replace(lower(" ~ number ~ "), 'whatsapp:', ''), 'tel:', ''), '(0)', ''), ' ()-./', '')" -%}
    case when {{ bare }} like '00%' then '+' || substring({{ bare }}, 3) else {{ bare }} end
{%- endmacro %}

{#-
    An address that was named, as a subject: an inbox (a:), an installation's token (t:) if there are letters in it, else a
    telephone number (n:).
-#}
{% macro named_subject(address, channel) -%}
    case
        when {{ address }} like '%@%' or {{ channel }} = 'email' then 'a:' || lower(trim({{ address }}))
        when {{ bare_number(address) }} != upper({{ bare_number(address) }}) then 't:' || lower(trim({{ address }}))
        else 'n:' || {{ bare_number(address) }}
    end
{%- endmacro %}

{#- SQL for whether what is said about `channel` is about an address of the kind that begins `subject`; '' is all of them. -#}
{% macro is_about(channel, subject) -%}
    (
        {%- for kind in address_kinds() %}
        {{ "or " if not loop.first }}({{ subject }} like '{{ kind.prefix }}%' and {{ channel }} in ({{ quoted_ids([''] + kind.channels) }}))
        {%- endfor %}
    )
{%- endmacro %}

{#- The attribute of `facts` that is an address of this kind, as a subject. -#}
{% macro subject_in_facts(kind) -%}
    {%- set value = 'facts.' ~ kind.attribute -%}
    '{{ kind.prefix }}' || {{ bare_number(value) if kind.attribute == 'phone' else 'lower(' ~ value ~ ')' }}
{%- endmacro %}

{#-
    Every address that the people of `people` (a relation with person_id) had by as_of, as a subject, and from when until when.
    The first one of a kind counts from ever: what somebody said before we knew their address concerns that one.
-#}
{% macro address_spans(people) -%}
    {%- for kind in address_kinds() %}
    select
        person_id,
        subject,
        case
            when row_number() over (partition by person_id order by event_at, event_id, source) > 1 then event_at
            else timestamp '0001-01-01 00:00:00'
        end as since,
        lead(event_at) over (partition by person_id order by event_at, event_id, source) as until
    from (
        select
            facts.person_id,
            facts.event_at,
            facts.event_id,
            facts.source,
            {{ subject_in_facts(kind) }} as subject
        from {{ owned_facts([kind.attribute]) }}
        where facts.{{ kind.attribute }} is not null
            and facts.event_at <= {{ as_of() }}
            and exists (
                select 1
                from {{ people }} as asked
                where asked.person_id = facts.person_id
            )
    ) as told_{{ kind.attribute }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#-
    The rows of `standing` by person: what stands for a person (`p:` and their key) is theirs, what stands for an address is
    everybody's who has it at as_of. `columns` are those of the relation beside its `subject`.
-#}
{% macro by_person(standing, columns) -%}
    with holders as (
        {%- for kind in address_kinds() %}
        select distinct facts.person_id
        from {{ owned_facts([kind.attribute]) }}
        inner join {{ standing }} as asked on {{ subject_in_facts(kind) }} = asked.subject
        where facts.event_at <= {{ as_of() }}
        {{ "union all" if not loop.last }}
        {%- endfor %}
    ),

    spans as (
        {{ address_spans('holders') }}
    )

    select
        cast(substring(subject, 3) as bigint) as person_id,
        {{ columns | join(', ') }}
    from {{ standing }}
    where subject like 'p:%'

    union all

    select
        spans.person_id,
        stood.{{ columns | join(', stood.') }}
    from {{ standing }} as stood
    inner join spans on stood.subject = spans.subject
    where spans.until is null
{%- endmacro %}
