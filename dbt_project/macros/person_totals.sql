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
    max(attributed_in) as attributed_in,
    max(written_in) as written_in
{%- endmacro %}

{#-
    Pre-hooks of fct_person_totals, in this order. Events that are new to it add to what it holds: the first counts them, by
    person. What is no more does not: where the sums of what it holds and of these events together are not those of
    fct_person_days, the second drops them and names in `changed_people` all whose own sums differ. The third merges what is new
    with what is held, the last removes both kinds of people, and the model writes them again.
-#}
{% macro count_new_events() -%}
    {%- if execute and is_incremental() -%}
        {#- Put down first: a database that does not know how few they are joins them the wrong way round. #}
        create or replace temporary table new_days as
        select
            person_id,
            event_on,
            {{ person_day_measures() }}
        from {{ to_be_read(ref('fct_events')) }}
        where {{ is_done_by_person() }}
        group by person_id, event_on;
        create or replace temporary table new_totals as
        select
            counted.person_id,
            min(counted.least_user_id) as least_user_id,
            max(counted.greatest_user_id) as greatest_user_id,
            {#- A day is a new one of the person's when all that it holds is new. #}
            cast(sum(case when whole.n_events = counted.n_events then 1 else 0 end) as integer) as n_days,
            cast(sum(counted.n_events) as bigint) as n_events,
            cast(sum(counted.n_usage_events) as bigint) as n_usage_events,
            cast(
                sum(
                    case when counted.n_usage_events > 0 and whole.n_usage_events = counted.n_usage_events then 1 else 0 end
                ) as integer
            ) as n_usage_days,
            min(counted.first_event_at) as first_event_at,
            max(counted.last_event_at) as last_event_at,
            min(counted.first_usage_at) as first_usage_at,
            max(counted.last_usage_at) as last_usage_at,
            min(counted.first_value_at) as first_value_at,
            cast(sum(counted.load_seq_sum) as bigint) as load_seq_sum,
            cast(sum(counted.attributed_in_sum) as bigint) as attributed_in_sum,
            max(counted.attributed_in) as attributed_in,
            max(whole.written_in) as written_in
        from new_days as counted
        inner join {{ ref('fct_person_days') }} as whole
            on counted.person_id = whole.person_id
                and counted.event_on = whole.event_on
        group by counted.person_id
    {%- endif -%}
{%- endmacro %}

{% macro name_people_of_other_sums() -%}
    {%- if execute and is_incremental() -%}
        {%- set whole = sums_of(ref('fct_person_days')) -%}
        {%- set held = sums_of(this) -%}
        {%- set added = sums_of('new_totals') -%}
        {%- set adds_up = (held[0] + added[0] == whole[0]) and (held[1] + added[1] == whole[1]) and (held[2] + added[2] == whole[2]) -%}
        create or replace temporary table changed_people as
        {{ people_who_differ(ref('fct_person_days'), '1 = 1', '1 = 0' if adds_up else '1 = 1') }}
        {%- if not adds_up %};
        delete from new_totals
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro merge_new_totals() -%}
    {%- if execute and is_incremental() -%}
        create or replace temporary table merged_totals as
        select
            new_totals.person_id,
            least(held.least_user_id, new_totals.least_user_id) as least_user_id,
            greatest(held.greatest_user_id, new_totals.greatest_user_id) as greatest_user_id,
            coalesce(held.n_days, 0) + new_totals.n_days as n_days,
            coalesce(held.n_events, 0) + new_totals.n_events as n_events,
            coalesce(held.n_usage_events, 0) + new_totals.n_usage_events as n_usage_events,
            coalesce(held.n_usage_days, 0) + new_totals.n_usage_days as n_usage_days,
            least(held.first_event_at, new_totals.first_event_at) as first_event_at,
            greatest(held.last_event_at, new_totals.last_event_at) as last_event_at,
            least(held.first_usage_at, new_totals.first_usage_at) as first_usage_at,
            greatest(held.last_usage_at, new_totals.last_usage_at) as last_usage_at,
            least(held.first_value_at, new_totals.first_value_at) as first_value_at,
            coalesce(held.load_seq_sum, 0) + new_totals.load_seq_sum as load_seq_sum,
            coalesce(held.attributed_in_sum, 0) + new_totals.attributed_in_sum as attributed_in_sum,
            greatest(held.attributed_in, new_totals.attributed_in) as attributed_in,
            greatest(held.written_in, new_totals.written_in) as written_in
        from new_totals
        left join {{ this }} as held on new_totals.person_id = held.person_id
    {%- endif -%}
{%- endmacro %}

{% macro forget_changed_totals() -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where person_id in (
            select person_id from merged_totals
            union all
            select person_id from changed_people
        )
    {%- endif -%}
{%- endmacro %}

{#- Rows of `merged_totals`, after those that fct_person_totals counts anew; none in a first or full build. -#}
{% macro and_merged_totals() -%}
    {%- if execute and is_incremental() -%}
        union all

        select
            person_id,
            least_user_id,
            greatest_user_id,
            n_days,
            n_events,
            n_usage_events,
            n_usage_days,
            first_event_at,
            last_event_at,
            first_usage_at,
            last_usage_at,
            first_value_at,
            load_seq_sum,
            attributed_in_sum,
            attributed_in,
            written_in
        from merged_totals
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
            where written_in > {{ writings_seen() }}
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
