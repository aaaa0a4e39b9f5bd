-- One row per source and attribute of a person that it wrote and does not own: how often, and when last. Whatever as_of is.
-- Nothing of it counts: the owner's word is taken. An attribute that nobody owns is anybody's to write.
{{ config(tags=['by_load']) }}

select
    facts.source,
    owners.attribute,
    owners.source as owner,
    count(*) as n_events,
    max(facts.event_at) as last_event_at
from {{ ref('fct_person_facts') }} as facts
inner join {{ source('landing', 'owners') }} as owners
    on facts.source <> owners.source
        and case owners.attribute
            {%- for name in person_attributes() or ['email'] %}
            when '{{ name }}' then facts.{{ name }} is not null
            {%- endfor %}
            else 1 = 0
        end
group by facts.source, owners.attribute, owners.source
