"""The store's SQL in PostgreSQL's words."""

from resetsvc.store.dialect import for_postgresql


def test_a_statement_is_put_into_postgresqls_words() -> None:
    assert for_postgresql("SELECT :a, CAST(x AS int), y::int, :b_c, :a /*postgresql FOR UPDATE */") == (
        "SELECT $1, CAST(x AS int), y::int, $2, $1  FOR UPDATE ",
        ("a", "b_c"),
    )
    assert for_postgresql("DELETE FROM t WHERE id IN (SELECT value FROM json_each(:ids))")[0] == (
        "DELETE FROM t WHERE id = ANY(ARRAY(SELECT value FROM jsonb_array_elements_text(CAST(CAST($1 AS text) AS jsonb))))"
    )
    assert for_postgresql("SELECT value ->> 0 FROM json_each(:rows)")[0] == (
        "SELECT value ->> 0 FROM jsonb_array_elements(CAST(CAST($1 AS text) AS jsonb))"
    )
    assert for_postgresql("x NOT IN (SELECT value FROM json_each(:a)) AND seq IN (SELECT seq FROM due)")[
        0
    ] == (
        "x <> ALL(ARRAY(SELECT value FROM jsonb_array_elements_text(CAST(CAST($1 AS text) AS jsonb))))"
        " AND seq = ANY(ARRAY(SELECT seq FROM due))"
    )
    assert for_postgresql("(attempts > 0) = :retry AND (attempts > 0) = TRUE")[0] == (
        "CAST(attempts > 0 AS integer) = CAST(CAST($1 AS boolean) AS integer)"
        " AND CAST(attempts > 0 AS integer) = CAST(CAST(TRUE AS boolean) AS integer)"
    )
