{#- `condition` is true in every row: for a statement about several columns, or several statements at the cost of one test. -#}
{% test holds(model, condition) %}
    select 1 as broken
    from {{ model }}
    where ({{ condition }}) is distinct from true
{% endtest %}
