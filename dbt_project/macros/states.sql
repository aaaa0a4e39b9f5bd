{#- The relation without the name of its database: for a view, which those read too who open the file by another name. -#}
{% macro nearby(relation) -%}
    {{ relation.include(database=false) }}
{%- endmacro %}

{#-
    The periods of a person's states, in time: of `named` (a relation with person_id, marked_at and the state from then on) each
    row begins one whose state is not that of the row before it. The last one is open.
-#}
{% macro state_periods(named) -%}
    select
        person_id,
        state,
        marked_at as started_at,
        lead(marked_at) over (partition by person_id order by marked_at) as ended_at,
        previous_state
    from (
        select
            person_id,
            marked_at,
            state,
            lag(state) over (partition by person_id order by marked_at) as previous_state
        from {{ named }}
    ) as changed
    where state is distinct from previous_state
{%- endmacro %}
