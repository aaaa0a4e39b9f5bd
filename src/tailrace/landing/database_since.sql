-- true: of every row that the last reading may not have had, by where the cursor stood, and of rows that lack it
({cursor} >= {stands} - {overlap} or {cursor} is null)
