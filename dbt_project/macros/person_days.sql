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
    Pre-hook of a rollup by day that keeps n_events, load_seq_sum and attributed_in_sum: removes the days whose sums differ from
    fct_events, so that the model can write every day it lacks, whole. That covers new events, loads that went, and a build that
    died between the two models. `which` is a condition on the events that it counts.
-#}
{% macro forget_changed_days(which='1 = 1') -%}
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
                    where {{ which }}
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

{#- Condition on `event_on`: days that this rollup does not hold; everything in a first or full build. -#}
{% macro is_in_missing_day(which='1 = 1') -%}
    {%- if not (execute and is_incremental()) -%}
        event_on is not null
    {%- else -%}
        event_on in (
            select days.event_on
            from (
                select distinct event_on
                from {{ ref('fct_events') }}
                where {{ which }}
            ) as days
            where not exists (
                select 1
                from {{ this }} as held
                where held.event_on = days.event_on
            )
        )
    {%- endif -%}
{%- endmacro %}

{#- The measures of a person's days together, over rows of fct_person_days: of all, or of those up to as_of. -#}
{% macro person_total_measures() -%}
    min(least_user_id) as least_user_id,
    max(greatest_user_id) as greatest_user_id,
    cast(count(*) as integer) as n_days,
    cast(sum(n_events) as bigint) as n_events,
    cast(sum(n_usage_events) as bigint) as n_usage_events,
    cast(sum(case when n_usage_events > 0 then 1 else 0 end) as integer) as n_usage_days,
    min(first_event_at) as first_event_at,
    max(last_event_at) as last_event_at,
    min(first_usage_at) as first_usage_at,
    max(last_usage_at) as last_usage_at,
    min(first_value_at) as first_value_at
{%- endmacro %}

{#- What says which events a person's days were counted from, over rows of fct_person_days, besides n_events; and in which
    build the last of them was written. -#}
{% macro person_sums() -%}
    cast(sum(load_seq_sum) as bigint) as load_seq_sum,
    cast(sum(attributed_in_sum) as bigint) as attributed_in_sum,
    max(written_in) as written_in
{%- endmacro %}

{#- The number of this build among those that wrote days: what this incremental model writes has it in written_in. -#}
{% macro this_writing() -%}
    {%- if not (execute and is_incremental()) -%}
        1
    {%- else -%}
        {{ (run_query("select coalesce(max(written_in), 0) + 1 from " ~ this).columns[0].values()[0]) | int }}
    {%- endif -%}
{%- endmacro %}

{#-
    Pre-hooks of a rollup by person that keeps n_events and `person_sums` of `rows` (a relation with these columns, some rows per
    person): in this order. The first names in `changed_people` whose sums differ, of those who have a row that was written since
    the rollup's last. What is no more leaves no row: where all others together have not the same sums here and there, the second
    compares everybody. The last one removes them, and the model writes them again, whole. `of_person` is a condition on one row
    per person of the rollup.
-#}
{% macro name_changed_people(rows, of_person='1 = 1') -%}
    {%- if execute and is_incremental() -%}
        create or replace temporary table changed_people as
        with written as (
            select distinct person_id
            from {{ rows }}
            where written_in > (select coalesce(max(written_in), 0) from {{ this }})
        )

        {{ people_who_differ(rows, of_person, 'person_id in (select person_id from written)') }}
    {%- endif -%}
{%- endmacro %}

{% macro name_others_who_changed(rows, of_person='1 = 1') -%}
    {%- if execute and is_incremental() -%}
        {%- set sums = 'coalesce(sum(n_events), 0), coalesce(sum(load_seq_sum), 0), coalesce(sum(attributed_in_sum), 0)' -%}
        {%- set others = 'person_id not in (select person_id from changed_people)' -%}
        {%- set found = run_query(
            "select " ~ sums ~ " from " ~ rows ~ " where " ~ others ~ " union all"
            ~ " select " ~ sums ~ " from " ~ this ~ " where " ~ of_person ~ " and " ~ others
        ) -%}
        {%- if (found.rows[0].values() | list) != (found.rows[1].values() | list) -%}
        insert into changed_people
        {{ people_who_differ(rows, of_person, others) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- A query: of the people of `which`, those whose sums in `rows` are not those of the rollup, or who are in one of them only. -#}
{% macro people_who_differ(rows, of_person, which) -%}
    select coalesce(held.person_id, counted.person_id) as person_id
    from (
        select
            person_id,
            n_events,
            load_seq_sum,
            attributed_in_sum
        from {{ this }}
        where {{ of_person }}
            and {{ which }}
    ) as held
    full outer join (
        select
            person_id,
            cast(sum(n_events) as bigint) as n_events,
            {{ person_sums() }}
        from {{ rows }}
        where {{ which }}
        group by person_id
    ) as counted on held.person_id = counted.person_id
    where held.n_events is distinct from counted.n_events
        or held.load_seq_sum is distinct from counted.load_seq_sum
        or held.attributed_in_sum is distinct from counted.attributed_in_sum
{%- endmacro %}

{% macro forget_changed_people() -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where person_id in (select person_id from changed_people)
    {%- endif -%}
{%- endmacro %}

{#- Condition on `person_id`: one of `changed_people`; everybody in a first or full build. -#}
{% macro is_of_changed_person(person_id='person_id') -%}
    {%- if not (execute and is_incremental()) -%}
        {{ person_id }} is not null
    {%- else -%}
        {{ person_id }} in (select person_id from changed_people)
    {%- endif -%}
{%- endmacro %}
