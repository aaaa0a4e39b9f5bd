({cursor} >= {stands} - {overlap} or {cursor} is null)
