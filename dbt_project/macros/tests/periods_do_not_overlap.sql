{#-
    Periods of one `key` follow each other without gap or overlap; only the last is open, and it is. With `newest`, only the keys
    are asked that have a row with the greatest value of this column: all others were asked when they were written.
-#}
{% test periods_do_not_overlap(model, key, started_at='started_at', ended_at='ended_at', newest=none) %}
    select {{ key }}
    from (
        select
            {{ key }},
            {{ started_at }} as started_at,
            {{ ended_at }} as ended_at,
            lead({{ started_at }}) over (partition by {{ key }} order by {{ started_at }}) as next_started_at
        from {{ model }}
        {%- if newest is not none %}
        where {{ key }} in (
            select {{ key }}
            from {{ model }}
            where {{ newest }} = (select max({{ newest }}) from {{ model }})
        )
        {%- endif %}
    ) as periods
    where ended_at is distinct from next_started_at
        or ended_at <= started_at
        or started_at is null
{% endtest %}
