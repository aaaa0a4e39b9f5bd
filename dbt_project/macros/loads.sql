{#-
    Incremental by load: what a model holds is compared, as a set, with what the landing shows. No watermark: a history
    load may be shown before an older normal one, and a late load is taken whatever its event times.
-#}

{#- Ids of the loads that are in `relation` (text list), or in the landing when none is given. -#}
{% macro load_ids(relation=none) %}
    {%- set found = run_query("select distinct load_id from " ~ (relation or source('landing', 'loads'))) -%}
    {{ return(found.columns[0].values() | list) }}
{% endmacro %}

{#-
    Ids of the loads that this incremental model has read: `note_loads` notes them in the transaction that writes what the model
    makes of them, for a load of which it makes nothing leaves no row. Without notes (an older warehouse) the rows tell, where
    they name their load.
-#}
{% macro loads_read() %}
    {%- set noted = run_query("select load_id from tailrace.loads_read where model = '" ~ this.schema ~ "." ~ this.identifier ~ "'") -%}
    {%- set found = noted.columns[0].values() | list -%}
    {%- if not found and 'load_id' in adapter.get_columns_in_relation(this) | map(attribute='name') -%}
        {{ return(load_ids(this)) }}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}

{#- Post-hook of every model that is incremental by load: what the landing shows has been read now, and nothing else. -#}
{% macro note_loads() -%}
    {%- set model = "'" ~ this.schema ~ "." ~ this.identifier ~ "'" -%}
    delete from tailrace.loads_read
    where model = {{ model }}
        and load_id not in (select load_id from {{ source('landing', 'loads') }});
    insert into tailrace.loads_read
    select {{ model }} as model, load_id
    from {{ source('landing', 'loads') }}
    where load_id not in (select load_id from tailrace.loads_read where model = {{ model }})
{%- endmacro %}

{#- SQL list of quoted ids. -#}
{% macro quoted_ids(ids) -%}
    {%- for id in ids -%}'{{ id | replace("'", "''") }}'{{ ", " if not loop.last }}{%- endfor -%}
{%- endmacro %}

{#- Condition on `load_id`: loads that this incremental model does not hold yet; everything in a first or full build. -#}
{% macro is_in_new_load(column='load_id') -%}
    {%- if not (execute and is_incremental()) -%}
        {{ column }} is not null
    {%- else -%}
        {%- set held = loads_read() -%}
        {%- set new = load_ids() | reject('in', held) | sort -%}
        {%- if new -%}{{ column }} in ({{ quoted_ids(new) }}){%- else -%}1 = 0{%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Pre-hook of a model that is incremental by load: rows of loads that the landing does not show (any more) go. -#}
{% macro forget_loads() -%}
    {%- if execute and is_incremental() -%}
        {%- set gone = loads_read() | reject('in', load_ids()) | sort -%}
        {%- if gone -%}delete from {{ this }} where load_id in ({{ quoted_ids(gone) }}){%- endif -%}
    {%- endif -%}
{%- endmacro %}
