{#-
    The measures of a person's day, over rows of fct_events: used for whole days and for the day that as_of cuts.
    A sum is cast back: DuckDB makes a HUGEINT of it, and reads that a hundred times slower.
-#}
{% macro person_day_measures() -%}
    min(user_id) as least_user_id,
    max(user_id) as greatest_user_id,
    cast(count(*) as integer) as n_events,
    {{ event_sums() }},
    cast(sum(case when {{ is_usage() }} then 1 else 0 end) as integer) as n_usage_events,
    cast(sum(case when type = 'track' and event = 'logged_in' then 1 else 0 end) as integer) as n_logins,
    cast(sum(case when type in ('page', 'screen') then 1 else 0 end) as integer) as n_pages,
    min(event_at) as first_event_at,
    max(event_at) as last_event_at,
    min(case when {{ is_usage() }} then event_at end) as first_usage_at,
    max(case when {{ is_usage() }} then event_at end) as last_usage_at,
    min(case when type = 'track' and event = '{{ var("saas_activation_event") }}' then event_at end) as first_value_at
{%- endmacro %}

{#-
    A query: one row per person and day up to as_of; the day of as_of holds only what happened by then. Whole days come from the
    rollup; only the day that as_of cuts is counted from events.
-#}
{% macro person_days_as_of() -%}
    select
        person_id,
        event_on,
        least_user_id,
        greatest_user_id,
        n_events,
        n_usage_events,
        n_logins,
        n_pages,
        first_event_at,
        last_event_at,
        first_usage_at,
        last_usage_at,
        first_value_at
    from {{ ref('fct_person_days') }}
    where event_on < {{ as_of_on() }}

    union all

    select
        person_id,
        event_on,
        least_user_id,
        greatest_user_id,
        n_events,
        n_usage_events,
        n_logins,
        n_pages,
        first_event_at,
        last_event_at,
        first_usage_at,
        last_usage_at,
        first_value_at
    from (
        select
            person_id,
            event_on,
            {{ person_day_measures() }}
        from {{ ref('fct_events') }}
        where event_on = {{ as_of_on() }}
            and event_at <= {{ as_of() }}
            and {{ is_done_by_person() }}
        group by person_id, event_on
    ) as today
{%- endmacro %}

{#- Condition on a row of fct_events: a person did it. What tailrace itself landed (a broadcast) makes nobody a person. -#}
{% macro is_done_by_person() -%}
    person_id is not null and source <> 'tailrace'
{%- endmacro %}

{#- The conditions of which every other row of fct_events fulfils one: each leaves out whole blocks where there are few. -#}
{% macro is_not_done_by_person() -%}
    {{ return(['person_id is null', "person_id is not null and source = 'tailrace'"]) }}
{%- endmacro %}

{#- Condition on a row of fct_events: it counts as using the product. -#}
{% macro is_usage() -%}
    type = 'track' and event in ({% for name in var('saas_usage_events') %}'{{ name }}'{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}

{#- What says which events a row of a rollup was counted from, besides their number: over rows of fct_events. -#}
{% macro event_sums() -%}
    cast(sum(load_seq) as bigint) as load_seq_sum,
    cast(coalesce(sum(attributed_in), 0) as bigint) as attributed_in_sum,
    max(attributed_in) as attributed_in
{%- endmacro %}

{#-
    Pre-hooks of a rollup by day that keeps n_events and `event_sums`, in this order. The first names in `days_to_write` those
    with events that are new to it or belong to others now. What is no more leaves no row: where the sums of all other days are
    not those of fct_events, the second names the days whose sums differ. The last one removes them, and the model writes them
    again, whole. That covers loads that went and a build that died between the two models. `which` is a condition on the events
    that it counts, `rest` a list of conditions each other event fulfils one of.
-#}
{% macro name_days_to_write(which='1 = 1') -%}
    {%- if execute and is_incremental() -%}
        create or replace temporary table days_to_write as
        select distinct event_on
        from {{ to_be_read(ref('fct_events')) }}
        where {{ which }}
    {%- endif -%}
{%- endmacro %}

{% macro name_other_days_that_differ(which='1 = 1', rest=[]) -%}
    {%- if execute and is_incremental() -%}
        {%- set others = 'event_on not in (select event_on from days_to_write)' -%}
        {%- set written = 'event_on in (select event_on from days_to_write)' -%}
        {%- if sums_of(this, [written]) != sums_of(ref('fct_events'), rest + [which ~ ' and ' ~ written], of_events=true) -%}
        insert into days_to_write
        select coalesce(held.event_on, counted.event_on) as event_on
        from (
            select
                event_on,
                sum(n_events) as n_events,
                sum(load_seq_sum) as load_seq_sum,
                sum(attributed_in_sum) as attributed_in_sum
            from {{ this }}
            where {{ others }}
            group by event_on
        ) as held
        full outer join (
            select
                event_on,
                count(*) as n_events,
                {{ event_sums() }}
            from {{ ref('fct_events') }}
            where {{ which }}
                and {{ others }}
            group by event_on
        ) as counted on held.event_on = counted.event_on
        where held.n_events is distinct from counted.n_events
            or held.load_seq_sum is distinct from counted.load_seq_sum
            or held.attributed_in_sum is distinct from counted.attributed_in_sum
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro forget_days_to_write() -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where event_on in (select event_on from days_to_write)
    {%- endif -%}
{%- endmacro %}

{#- Condition on `event_on`: one of `days_to_write`; everything in a first or full build. -#}
{% macro is_on_day_to_write() -%}
    {%- if not (execute and is_incremental()) -%}
        event_on is not null
    {%- else -%}
        event_on in (select event_on from days_to_write)
    {%- endif -%}
{%- endmacro %}

{#-
    The number of events in `rows` and their sums, without the rows that one of the conditions `less` is true of, which are
    counted apart: few are looked up sooner than most are left out. [n_events, load_seq_sum, attributed_in_sum]
-#}
{% macro sums_of(rows, less=[], of_events=false) -%}
    {%- set columns = ['count(*)', 'sum(load_seq)', 'sum(attributed_in)'] if of_events
        else ['sum(n_events)', 'sum(load_seq_sum)', 'sum(attributed_in_sum)'] -%}
    {%- set query -%}
        select coalesce(sum(n), 0), coalesce(sum(loads), 0), coalesce(sum(attributions), 0)
        from (
            select {{ columns[0] }} as n, {{ columns[1] }} as loads, {{ columns[2] }} as attributions from {{ rows }}
            {%- for condition in less %}
            union all
            select -{{ columns | join(', -') }} from {{ rows }} where {{ condition }}
            {%- endfor %}
        ) as parts
    {%- endset -%}
    {{ return(run_query(query).rows[0].values() | map('int') | list) }}
{%- endmacro %}

{#- The number of this build among those that wrote days: what this incremental model writes has it in written_in. -#}
{% macro this_writing() -%}
    {{ writings_seen() | int + 1 }}
{%- endmacro %}

{#- The greatest written_in of this incremental model, 0 in a first or full build: a number, by which whole blocks are left out. -#}
{% macro writings_seen() -%}
    {%- if not (execute and is_incremental()) -%}
        0
    {%- else -%}
        {{ (run_query("select coalesce(max(written_in), 0) from " ~ this).columns[0].values()[0]) | int }}
    {%- endif -%}
{%- endmacro %}
