-- One row per person and period in a lifecycle state of the saas programme, up to as_of; the current period is open.
-- Periods of a person follow each other without gap or overlap. docs/segments.md says what each state means.
-- A view: it is a cut, and what would be written is nearly all of what it is cut from. It does not name its database, which
-- others open by other names.
{{ config(enabled='saas' in var('programmes'), materialized='view') }}

select
    person_id,
    state,
    started_at,
    case when ended_at <= {{ as_of() }} then ended_at end as ended_at,
    previous_state
from {{ nearby(ref('fct_saas_lifecycles')) }}
where started_at <= {{ as_of() }}
