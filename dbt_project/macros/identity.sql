{#-
    Whose an event is can change with a later load: a late identify gives the earlier events of its anonymous id to its
    person. Such an event is given to them in place, and carries in `attributed_in` the number of that change, counted up.
    A model that is read from fct_events keeps the number of each of its rows: what has a higher one is read again.
-#}

{#- Pre-hook of fct_events, before loads go and come: events that belong to others now, by the links of these loads. -#}
{% macro attribute_again() -%}
    {%- if execute and is_incremental() -%}
        {%- set held = load_ids(this) -%}
        {%- set shown = load_ids() -%}
        {%- set new = shown | reject('in', held) | sort -%}
        {%- set are_gone = held | reject('in', shown) | list | length > 0 -%}
        {%- if new or are_gone -%}
            update {{ this }}
            set
                person_id = moved.person_id,
                attributed_in = (select coalesce(max(attributed_in), 0) + 1 from {{ this }})
            from (
                select
                    events.event_id,
                    events.source,
                    {{ person_key('periods.user_id') }} as person_id
                from {{ this }} as events
                left join {{ ref('int_anonymous_periods') }} as periods
                    on events.anonymous_id = periods.anonymous_id
                        and (periods.started_at is null or events.event_at > periods.started_at)
                        and (periods.ended_at is null or events.event_at <= periods.ended_at)
                where events.user_id is null
                    and events.anonymous_id is not null
                    {% if new and not are_gone -%}
                    and events.anonymous_id in (
                        select anonymous_id
                        from {{ ref('fct_identity_links') }}
                        where load_id in ({{ quoted_ids(new) }})
                    )
                    {%- endif %}
            ) as moved
            where moved.event_id = {{ this.identifier }}.event_id
                and moved.source = {{ this.identifier }}.source
                and moved.person_id is distinct from {{ this.identifier }}.person_id
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- The number of the last change of attribution that this incremental model has seen; 0 when none. -#}
{% macro attributions_seen() -%}
    {%- set found = run_query("select coalesce(max(attributed_in), 0) from " ~ this) -%}
    {{ return(found.columns[0].values()[0] | int) }}
{%- endmacro %}

{#- Pre-hook of a model read from fct_events: rows of loads that went and of events that belong to others now go. -#}
{% macro forget_events() -%}
    {%- if execute and is_incremental() -%}
        {%- set gone = load_ids(this) | reject('in', load_ids()) | sort -%}
        delete from {{ this }}
        where {% if gone -%}load_id in ({{ quoted_ids(gone) }}) or {% endif -%}
            (source, event_id) in (
                select source, event_id
                from {{ ref('fct_events') }}
                where attributed_in > {{ attributions_seen() }}
            )
    {%- endif -%}
{%- endmacro %}

{#- Condition on a row of fct_events: its load is new to this incremental model, or it belongs to others now. -#}
{% macro is_to_be_read() -%}
    ({{ is_in_new_load() }}
    {%- if execute and is_incremental() %} or attributed_in > {{ attributions_seen() }}{% endif %})
{%- endmacro %}
