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
        from {{ ref('fct_person_facts') }} as facts
        where facts.email is not null
            and facts.event_at <= {{ as_of() }}
            and exists (
                select 1
                from {{ people }} as asked
                where asked.person_id = facts.person_id
            )
    ) as told
{%- endmacro %}
