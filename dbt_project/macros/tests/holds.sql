{#-
    `condition` is true in every row: for a statement about several columns, or several statements at the cost of one test. With
    `newest`, only the rows are asked that have the greatest value of this column: all others were asked when they were written.
-#}
{% test holds(model, condition, newest=none) %}
    select 1 as broken
    from {{ model }}
    where ({{ condition }}) is distinct from true
        {%- if newest is not none %}
        and {{ newest }} = (select max({{ newest }}) from {{ model }})
        {%- endif %}
{% endtest %}
