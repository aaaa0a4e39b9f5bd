{#-
    The run's instant, as a UTC timestamp. No model asks the clock.

    tailrace passes it in the environment, because a changed `--vars` makes dbt read the whole project again. By hand, give
    `--vars 'as_of: 2026-01-31'` or `TAILRACE_AS_OF="2026-01-31 06:00:00"`. It is read only while dbt executes, so that
    dbt's parse cache does not depend on it.
-#}
{% macro as_of() -%}
    {%- if not execute -%}
        timestamp '1970-01-01 00:00:00'
    {%- else -%}
        {%- set given = var('as_of', none) or env_var('TAILRACE_AS_OF', '') -%}
        {%- set text = given | string | replace('T', ' ') | replace('Z', '') -%}
        {%- if not modules.re.fullmatch('\\d{4}-\\d{2}-\\d{2}( \\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,6})?)?)?', text) -%}
            {{ exceptions.raise_compiler_error(
                "as_of is not a UTC time such as 2026-01-31 or 2026-01-31 06:00:00; pass --vars 'as_of: 2026-01-31'"
                " or set TAILRACE_AS_OF"
            ) }}
        {%- endif -%}
        {%- if text | length == 10 -%}{%- set text = text ~ ' 00:00:00' -%}
        {%- elif text | length == 16 -%}{%- set text = text ~ ':00' -%}
        {%- endif -%}
        timestamp '{{ text }}'
    {%- endif -%}
{%- endmacro %}

{#- The UTC date of as_of. -#}
{% macro as_of_on() -%}
    cast({{ as_of() }} as date)
{%- endmacro %}

{#- The instant `length` before as_of, exact to the second: `ago('7 days')`, `ago('36 hours')`. -#}
{% macro ago(length) -%}
    {%- set found = modules.re.fullmatch('(\\d{1,5}) (second|minute|hour|day|week|month|year)s?', length | string) -%}
    {%- if not found -%}
        {{ exceptions.raise_compiler_error(
            "`" ~ length ~ "` is not a length of time; expected a whole number and a unit such as `7 days` or `36 hours`"
        ) }}
    {%- endif -%}
    {{ dbt.dateadd(found.group(2), '-' ~ found.group(1), as_of()) }}
{%- endmacro %}

{#- `moment` plus whole days. -#}
{% macro plus_days(moment, days) -%}
    {{ dbt.dateadd('day', days, moment) }}
{%- endmacro %}

{#- Whole days from the date `earlier` to the date `later`. -#}
{% macro days_between(earlier, later) -%}
    {{ dbt.datediff(earlier, later, 'day') }}
{%- endmacro %}
