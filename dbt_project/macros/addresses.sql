{#-
    Every address that the people of `people` (a relation with person_id) had by as_of, and from when until when.
    The first one counts from ever: what somebody said before we knew their address concerns that one.
-#}
{% macro address_spans(people) -%}
    select
        person_id,
        address,
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
            lower(facts.email) as address
        from {{ owned_facts(['email']) }}
        where facts.email is not null
            and facts.event_at <= {{ as_of() }}
            and exists (
                select 1
                from {{ people }} as asked
                where asked.person_id = facts.person_id
            )
    ) as told
{%- endmacro %}

{#-
    The rows of `standing` by person: what stands for a person (`p:` and their key) is theirs, what stands for an inbox (`a:`
    and the address) is everybody's who has it at as_of. `columns` are those of the relation beside its `subject`.
-#}
{% macro by_person(standing, columns) -%}
    with inboxes as (
        select distinct facts.person_id
        from {{ owned_facts(['email']) }}
        inner join {{ standing }} as asked on 'a:' || lower(facts.email) = asked.subject
        where facts.event_at <= {{ as_of() }}
    ),

    spans as (
        {{ address_spans('inboxes') }}
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
    inner join spans on stood.subject = 'a:' || spans.address
    where spans.until is null
{%- endmacro %}
