-- grain: none; what rules ask of a value as JSON writes it
create or replace macro told(x) as case when contains(x, '\') then json_extract_string(x::json, '$') else x[2:-2] end;
create or replace macro is_day(x) as regexp_full_match(x, '\d{4}-\d\d-\d\d') and try_cast(x as date) is not null;
create or replace macro is_moment(x) as
    regexp_full_match(x, '\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?(Z|[-+]([01]\d|2[0-3]):?[0-5]\d)?')
    and try_cast(x as timestamptz) is not null
