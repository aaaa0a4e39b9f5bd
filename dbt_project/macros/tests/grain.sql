{#- `columns` are unique together and never null, asked in one query. -#}
{% test grain(model, columns) %}
    select n_broken
    from ({{ grain_violations(model, columns) }}) as found
    where n_broken > 0
{% endtest %}
