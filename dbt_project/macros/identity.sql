{#-
    Whose an event is can change with a later load: a late identify gives the earlier events of its anonymous id to its
    person. Such an event is given to them in place, and carries in `attributed_in` the number of that change, counted up.
    A model that is read from fct_events keeps the number of each of its rows: what has a higher one is read again.
-#}

{#-
    Pre-hook of fct_events, before loads go and come: events that belong to others now, by the links of these loads. Without
    an alias among them, and with all loads still there, nobody's user id became another's.
-#}
{% macro attribute_again() -%}
    {%- if execute and is_incremental() -%}
        {%- set held = loads_read() -%}
        {%- set shown = load_ids() -%}
        {%- set new = shown | reject('in', held) | sort -%}
        {%- set are_gone = held | reject('in', shown) | list | length > 0 -%}
        {%- if new or are_gone -%}
            {%- set may_merge = are_gone or has_aliases(new) -%}
            update {{ this }}
            set
                person_id = moved.person_id,
                attributed_in = (select coalesce(max(attributed_in), 0) + 1 from {{ this }})
            from (
                select
                    event_id,
                    source,
                    person_id
                from (
                    select
                        events.event_id,
                        events.source,
                        events.person_id as held_person_id,
                        {{ person_key('coalesce(merged.into_user_id, events.user_id, periods.user_id)') }} as person_id
                    from {{ this }} as events
                    left join {{ ref('int_anonymous_periods') }} as periods
                        on events.user_id is null
                            and events.anonymous_id = periods.anonymous_id
                            and (periods.started_at is null or events.event_at > periods.started_at)
                            and (periods.ended_at is null or events.event_at <= periods.ended_at)
                    left join {{ ref('int_user_merges') }} as merged
                        on coalesce(events.user_id, periods.user_id) = merged.user_id
                    where (
                        events.user_id is null
                        and events.anonymous_id is not null
                        {% if not are_gone -%}
                        and events.anonymous_id in (
                            select anonymous_id
                            from {{ ref('fct_identity_links') }}
                            where load_id in ({{ quoted_ids(new) }})
                            {% if may_merge -%}
                            or user_id in ({{ users_of_others() }})
                            {%- endif %}
                        )
                        {%- endif %}
                    )
                    {% if may_merge -%}
                    or events.user_id in ({{ users_of_others() }})
                    {%- endif %}
                ) as attributed
                where person_id is distinct from held_person_id
            ) as moved
            where moved.event_id = {{ this.identifier }}.event_id
                and moved.source = {{ this.identifier }}.source
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Whether one of these loads has an alias. -#}
{% macro has_aliases(loads) -%}
    {%- set found = run_query(
        "select count(*) from " ~ ref('fct_identity_links') ~ " where is_alias and load_id in (" ~ quoted_ids(loads) ~ ")"
    ) -%}
    {{ return(found.columns[0].values()[0] > 0) }}
{%- endmacro %}

{#- A query: user ids whose events this table has with another person than the one they are now. -#}
{% macro users_of_others() -%}
    select held.user_id
    from (
        select distinct
            user_id,
            person_id
        from {{ this }}
        where user_id is not null
    ) as held
    left join {{ ref('int_user_merges') }} as merged on held.user_id = merged.user_id
    where {{ person_key('coalesce(merged.into_user_id, held.user_id)') }} is distinct from held.person_id
{%- endmacro %}

{#-
    CTEs that follow chains to their ends: `ends` (user_id, end_user_id, last_nth), from rows (user_id, next_user_id, nth), one
    per user_id. In each round everybody goes as far again as they have come: 17 rounds are a chain of 131,072. Who goes in
    a circle ends somewhere in it; `last_nth` is the greatest nth on the way, and in a circle that of the whole circle.
-#}
{% macro follow_chains(rows, rounds=17) -%}
    round_0 as materialized (
        select
            user_id,
            next_user_id as end_user_id,
            nth as last_nth
        from {{ rows }}
    ),
    {% for round in range(1, rounds + 1) %}
    {{ 'ends' if loop.last else 'round_' ~ round }} as materialized (
        select
            near.user_id,
            coalesce(far.end_user_id, near.end_user_id) as end_user_id,
            case when far.last_nth > near.last_nth then far.last_nth else near.last_nth end as last_nth
        from round_{{ round - 1 }} as near
        left join round_{{ round - 1 }} as far on near.end_user_id = far.user_id
    ){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- The number of the last change of attribution that this incremental model has seen; 0 when none. -#}
{% macro attributions_seen() -%}
    {%- set found = run_query("select coalesce(max(attributed_in), 0) from " ~ this) -%}
    {{ return(found.columns[0].values()[0] | int) }}
{%- endmacro %}

{#- Pre-hook of a model read from fct_events: rows of loads that went and of events that belong to others now go. -#}
{% macro forget_events() -%}
    {%- if execute and is_incremental() -%}
        {%- set gone = loads_read() | reject('in', load_ids()) | sort -%}
        delete from {{ this }}
        where {% if gone -%}load_id in ({{ quoted_ids(gone) }}) or {% endif -%}
            (source, event_id) in (
                select source, event_id
                from {{ ref('fct_events') }}
                where attributed_in > {{ attributions_seen() }}
            )
    {%- endif -%}
{%- endmacro %}

{#-
    The rows of `relation` (fct_events, or what is read from it) whose load is new to this incremental model, or which belong to
    others now: a relation. Two selects and no `or`, so that a database can leave out the blocks that have neither.
-#}
{% macro to_be_read(relation) -%}
    {%- if not (execute and is_incremental()) -%}
        {{ relation }}
    {%- else -%}
    (
        select *
        from {{ relation }}
        where {{ is_in_new_load() }}

        union all

        select *
        from {{ relation }}
        where attributed_in > {{ attributions_seen() }}
            and not ({{ is_in_new_load() }})
    ) as to_be_read
    {%- endif -%}
{%- endmacro %}

{#- Who the person with this user id is now: their key. -#}
{% macro person_now(user_id) -%}
    coalesce(
        (select max(merged.into_person_id) from {{ ref('fct_person_merges') }} as merged where merged.user_id = {{ user_id }}),
        {{ person_key(user_id) }}
    )
{%- endmacro %}

{#-
    Pre-hook of a model that keeps in `said_to` the person whom the journal names: its person_id follows who that is now.
-#}
{% macro follow_merges() -%}
    {%- if execute and is_incremental() -%}
        update {{ this }}
        set person_id = now.person_id
        from (
            select distinct
                held.said_to,
                coalesce(merged.into_person_id, held.said_to) as person_id
            from {{ this }} as held
            left join {{ ref('fct_person_merges') }} as merged on held.said_to = merged.person_id
            where held.person_id != coalesce(merged.into_person_id, held.said_to)
        ) as now
        where now.said_to = {{ this.identifier }}.said_to
    {%- endif -%}
{%- endmacro %}
