{#-
    Somebody went on when all that is new of them happened on days after the last on which they were seen: what was so until they
    were last active stays so, and only what follows is told again. Where the last period says how often they were seen, until
    when, and when they were last active and came back, that can be told from the new days alone.
-#}

{#- Pre-hook of fct_saas_lifecycles, after its `changed_people`: of these, in `people_who_went_on`, the period that holds when
    they were last active. -#}
{% macro name_people_who_went_on() -%}
    {%- if execute and is_incremental() -%}
        {#- Each put down before the next reads it: a database that does not know how few they are joins them the wrong way round. #}
        create or replace temporary table last_periods as
        select
            person_id,
            cast(seen_until as date) as seen_on,
            active_until,
            came_back_at,
            n_events,
            load_seq_sum,
            attributed_in_sum
        from {{ this }}
        where ended_at is null
            and person_id in (select person_id from changed_people);
        {#- Of a day that somebody else's late event wrote again, a person's own row may be as it was. #}
        create or replace temporary table later_days as
        select
            days.person_id,
            sum(days.n_events) as n_events,
            sum(days.load_seq_sum) as load_seq_sum,
            sum(days.attributed_in_sum) as attributed_in_sum
        from {{ ref('fct_person_days') }} as days
        inner join last_periods on days.person_id = last_periods.person_id
        where days.written_in > {{ writings_seen() }}
            and days.event_on > last_periods.seen_on
        group by days.person_id;
        create or replace temporary table people_gone_on as
        select
            last_periods.person_id,
            last_periods.seen_on,
            last_periods.active_until,
            last_periods.came_back_at
        from last_periods
        inner join later_days on last_periods.person_id = later_days.person_id
        inner join {{ ref('fct_person_totals') }} as totals on last_periods.person_id = totals.person_id
        where last_periods.n_events + later_days.n_events = totals.n_events
            and last_periods.load_seq_sum + later_days.load_seq_sum = totals.load_seq_sum
            and last_periods.attributed_in_sum + later_days.attributed_in_sum = totals.attributed_in_sum;
        create or replace temporary table people_who_went_on as
        select
            gone_on.person_id,
            gone_on.seen_on,
            gone_on.active_until,
            gone_on.came_back_at,
            periods.started_at,
            periods.previous_state
        from people_gone_on as gone_on
        inner join {{ this }} as periods on gone_on.person_id = periods.person_id
        where periods.started_at <= gone_on.active_until
            and (periods.ended_at is null or periods.ended_at > gone_on.active_until)
    {%- endif -%}
{%- endmacro %}

{#- Pre-hook, after it: the periods that are told again go. -#}
{% macro forget_what_follows() -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where person_id in (select person_id from changed_people)
            and (
                ended_at is null
                or not exists (
                    select 1
                    from people_who_went_on as went_on
                    where went_on.person_id = {{ this.identifier }}.person_id
                        and went_on.active_until >= {{ this.identifier }}.ended_at
                )
            )
    {%- endif -%}
{%- endmacro %}

{#- A query: who went on; nobody in a first or full build. -#}
{% macro people_who_went_on() -%}
    select
        person_id,
        seen_on,
        active_until,
        came_back_at,
        started_at,
        previous_state
    from {% if execute and is_incremental() -%}
        people_who_went_on
    {%- else -%}
        (
            select
                person_id,
                cast(first_event_at as date) as seen_on,
                first_event_at as active_until,
                first_event_at as came_back_at,
                first_event_at as started_at,
                cast(null as varchar) as previous_state
            from totals
            where 1 = 0
        ) as nobody
    {%- endif -%}
{%- endmacro %}

{#- Condition on `person_id`: a changed person who did not just go on; everybody in a first or full build. -#}
{% macro is_told_from_the_start() -%}
    {%- if not (execute and is_incremental()) -%}
        person_id is not null
    {%- else -%}
        person_id in (
            select person_id from changed_people
            except
            select person_id from people_who_went_on
        )
    {%- endif -%}
{%- endmacro %}
