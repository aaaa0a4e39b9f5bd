{#-
    What people got from campaigns and what they made of it, for segments: conditions like performed(…).

        where {{ received(campaign='onboarding', within='30 days', at_least=3) }}
            and not {{ opened(channel='email', within='30 days') }}

    received  a message was accepted for delivery
    opened    a human opened one (machines that fetch images do not count)
    clicked   a human clicked in one

    campaign, step, channel   only of these; none is any
    within                    a length of time up to as_of: '7 days', '36 hours'; none is ever
    at_least                  how many messages at least; several opens of one message are one
    of                        the column with the person's key, where the query's alias is not `people`
-#}
{% macro received(campaign=none, channel=none, within=none, at_least=1, step=none, of='people.person_id') -%}
    {{ _messages_of(ref('fct_sends'), 'sent_at', [], campaign, channel, within, at_least, step, of) }}
{%- endmacro %}

{% macro opened(campaign=none, channel=none, within=none, at_least=1, step=none, of='people.person_id') -%}
    {{ _messages_of(ref('fct_receipts'), 'event_at', ["kind = 'opened'", 'is_human'], campaign, channel, within, at_least, step, of) }}
{%- endmacro %}

{% macro clicked(campaign=none, channel=none, within=none, at_least=1, step=none, of='people.person_id') -%}
    {{ _messages_of(ref('fct_receipts'), 'event_at', ["kind = 'clicked'", 'is_human'], campaign, channel, within, at_least, step, of) }}
{%- endmacro %}

{% macro _messages_of(relation, moment, conditions, campaign, channel, within, at_least, step, of) -%}
    {%- if at_least is not number or at_least < 1 -%}
        {{ exceptions.raise_compiler_error("received, opened, clicked: at_least is a whole number from 1 up; for nobody, write `not`") }}
    {%- endif -%}
    exists (
        select 1
        from (
            select person_id
            from {{ relation }}
            where {{ moment }} <= {{ as_of() }}
                {%- if within is not none %}
                and {{ moment }} > {{ ago(within) }}
                {%- endif %}
                {%- for condition in conditions %}
                and {{ condition }}
                {%- endfor %}
                {%- for column, value in [('campaign', campaign), ('channel', channel), ('step', step)] if value is not none %}
                and {{ column }} = '{{ value | replace("'", "''") }}'
                {%- endfor %}
                and person_id is not null
            group by person_id
            having count(distinct intent_id) >= {{ at_least }}
        ) as did
        where did.person_id = {{ of }}
    )
{%- endmacro %}
