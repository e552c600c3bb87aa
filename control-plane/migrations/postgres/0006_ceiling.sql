-- Nothing to do: on SQLite, keys of before this get a revision each. There are none here.

SELECT 1;
