{#-
    The measures of a person's day, over rows of fct_events: used for whole days and for the day that as_of cuts.
    A sum is cast back: DuckDB makes a HUGEINT of it, and reads that a hundred times slower.
-#}
{% macro person_day_measures() -%}
    min(user_id) as least_user_id,
    max(user_id) as greatest_user_id,
    cast(count(*) as integer) as n_events,
    cast(sum(load_seq) as bigint) as load_seq_sum,
    cast(coalesce(sum(attributed_in), 0) as bigint) as attributed_in_sum,
    cast(sum(case when {{ is_usage() }} then 1 else 0 end) as integer) as n_usage_events,
    cast(sum(case when type = 'track' and event = 'logged_in' then 1 else 0 end) as integer) as n_logins,
    cast(sum(case when type in ('page', 'screen') then 1 else 0 end) as integer) as n_pages,
    min(event_at) as first_event_at,
    max(event_at) as last_event_at,
    min(case when {{ is_usage() }} then event_at end) as first_usage_at,
    max(case when {{ is_usage() }} then event_at end) as last_usage_at,
    min(case when type = 'track' and event = '{{ var("saas_activation_event") }}' then event_at end) as first_value_at
{%- endmacro %}

{#- Condition on a row of fct_events: a person did it. What tailrace itself landed (a broadcast) makes nobody a person. -#}
{% macro is_done_by_person() -%}
    person_id is not null and source <> 'tailrace'
{%- endmacro %}

{#- Condition on a row of fct_events: it counts as using the product. -#}
{% macro is_usage() -%}
    type = 'track' and event in ({% for name in var('saas_usage_events') %}'{{ name }}'{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}

{#-
    Pre-hook of fct_person_days: removes the days whose sums differ from fct_events, so that the model can write every day
    it lacks, whole. That covers new events, loads that went, and a build that died between the two models.
-#}
{% macro forget_changed_days() -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where event_on in (
            select held.event_on
            from (
                select
                    event_on,
                    sum(n_events) as n_events,
                    sum(load_seq_sum) as load_seq_sum,
                    sum(attributed_in_sum) as attributed_in_sum
                from {{ this }}
                group by event_on
            ) as held
            where not exists (
                select 1
                from (
                    select
                        event_on,
                        count(*) as n_events,
                        sum(load_seq) as load_seq_sum,
                        coalesce(sum(attributed_in), 0) as attributed_in_sum
                    from {{ ref('fct_events') }}
                    where {{ is_done_by_person() }}
                    group by event_on
                ) as found
                where found.event_on = held.event_on
                    and found.n_events = held.n_events
                    and found.load_seq_sum = held.load_seq_sum
                    and found.attributed_in_sum = held.attributed_in_sum
            )
        )
    {%- endif -%}
{%- endmacro %}

{#- Condition on `event_on`: days that fct_person_days does not hold; everything in a first or full build. -#}
{% macro is_in_missing_day() -%}
    {%- if not (execute and is_incremental()) -%}
        event_on is not null
    {%- else -%}
        event_on in (
            select days.event_on
            from (
                select distinct event_on
                from {{ ref('fct_events') }}
                where {{ is_done_by_person() }}
            ) as days
            where not exists (
                select 1
                from {{ this }} as held
                where held.event_on = days.event_on
            )
        )
    {%- endif -%}
{%- endmacro %}
