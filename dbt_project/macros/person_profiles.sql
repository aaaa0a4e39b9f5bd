{#- The attributes of people's facts that make their profile; dim_people says what follows from them at as_of. -#}
{% macro profile_attributes() -%}
    {{ return([
        'email', 'first_name', 'last_name', 'country', 'timezone', 'company', 'created_at', 'plan', 'mrr', 'billing', 'renews_at',
        'trial_ends_at', 'ends_at',
    ]) }}
{%- endmacro %}

{#- Those of which the last word counts, and an `identify` that says null, or an empty text, says that there is none. -#}
{% macro latest_attributes() -%}
    {{ return([
        'email', 'first_name', 'last_name', 'country', 'timezone', 'company', 'plan', 'mrr', 'billing', 'renews_at', 'trial_ends_at',
    ]) }}
{%- endmacro %}

{#- Aggregate over rows of `facts_in_order`: an attribute as it was said last. -#}
{% macro said_last(name) -%}
    {{ latest(name, 'nth', 'is_' ~ name ~ '_cleared') }}
{%- endmacro %}

{#-
    A query: the facts of people, each with its place among those of its person in nth: by event time, then by event id and source, so
    the order of files and rows cannot matter. `which` is a condition on person_id and event_at.
-#}
{% macro facts_in_order(which) -%}
    select
        person_id,
        event_at,
        fact,
        {%- for name in profile_attributes() %}
        {{ name }},
        {%- endfor %}
        {%- for name in latest_attributes() %}
        is_{{ name }}_cleared,
        {%- endfor %}
        row_number() over (partition by person_id order by event_at, event_id, source) as nth
    from {{ owned_facts(profile_attributes(), cleared=latest_attributes()) }}
    where {{ which }}
{%- endmacro %}

{#- What facts say of their person all together, over rows of `facts_in_order`: used for all facts and for those up to as_of. -#}
{% macro person_profile_measures() -%}
    {{ said_last('email') }} as email,
    {{ said_last('first_name') }} as first_name,
    {{ said_last('last_name') }} as last_name,
    {{ said_last('country') }} as country,
    {{ said_last('timezone') }} as timezone,
    {{ said_last('company') }} as company,
    {{ said_last('plan') }} as plan,
    {{ said_last('mrr') }} as mrr,
    {{ said_last('billing') }} as billing,
    {{ said_last('renews_at') }} as renews_at,
    {{ said_last('trial_ends_at') }} as trial_ends_at,
    {{ latest("case when fact = 'subscription_cancelled' then coalesce(ends_at, event_at) end", 'nth') }} as ends_at,
    min(case when fact = 'signed_up' then event_at end) as signed_up_at,
    min(created_at) as created_at,
    max(case when fact in ('subscription_started', 'subscription_renewed') then event_at end) as paid_at,
    max(case when fact = 'payment_failed' then event_at end) as payment_failed_at,
    {{ latest("case when fact in ('trial_started', 'subscription_started', 'subscription_renewed', 'subscription_cancelled')"
        " then fact end", 'nth') }} as last_step
{%- endmacro %}
