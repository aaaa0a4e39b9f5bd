{#- A condition: the care of the person whose key is in the column `of` has not ended (or began again since). -#}
{% macro is_in_care_programme(of) -%}
    not exists (
        select 1
        from {{ ref('fct_telehealth_states') }} as ended
        where ended.person_id = {{ of }}
            and ended.ended_at is null
            and ended.state = 'ended'
    )
{%- endmacro %}
