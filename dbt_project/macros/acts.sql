{#-
    An attribute that campaigns set (`update:` in a campaign, `owned_attributes` in policy.yml), as it is at as_of: a column
    for dim_people.

        {{ tailrace_attribute('onboarding_stage') }} as onboarding_stage,
        {{ tailrace_attribute('n_nudges', type='integer') }} as n_nudges,

    name       the attribute
    type       what to read it as; a value that is none is null
    of         the column with the person's key, where the query's alias is not `people`
-#}
{% macro tailrace_attribute(name, type='varchar', of='people.person_id') -%}
    try_cast((
        select max(acts.value)
        from {{ ref('fct_latest_acts') }} as acts
        where acts.person_id = {{ of }}
            and acts.about = 'attribute'
            and acts.name = '{{ name | replace("'", "''") }}'
    ) as {{ type }})
{%- endmacro %}

{#-
    Who is on a hand-kept list: a query over person_id. The seed `<list>.csv` (a column `user_id`), and whom campaigns added to
    or removed from `seg_<list>` (`add_to`, `remove_from`): for a person whom a campaign named, its last word counts.

        where people.person_id in ({{ manual_members('beta_testers') }})
-#}
{% macro manual_members(list) -%}
    select {{ person_now('listed.user_id') }} as person_id
    from {{ ref(list) }} as listed
    where {{ person_now('listed.user_id') }} not in (
        select acts.person_id
        from {{ ref('fct_latest_acts') }} as acts
        where acts.about = 'segment'
            and acts.name = 'seg_{{ list }}'
            and acts.act = 'remove'
    )
    union
    select acts.person_id
    from {{ ref('fct_latest_acts') }} as acts
    where acts.about = 'segment'
        and acts.name = 'seg_{{ list }}'
        and acts.act = 'add'
{%- endmacro %}
