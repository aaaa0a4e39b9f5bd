-- grain: one row per staged row that only its shape made odd when it was read, as it is found by what has been learned since
select
    line as row_no,
    shape,
    is_odd,
    is_verbatim,
    is_shape_new,
    n_found,
    case when is_shape_new then raw end as raw
from ({found})
