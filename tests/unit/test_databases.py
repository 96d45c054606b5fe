"""The database fixtures: fresh, empty, and really of both kinds."""

from __future__ import annotations

import sqlalchemy as sa


def test_each_test_gets_an_empty_database(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    assert sa.inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE left_behind (id INTEGER)"))
    engine.dispose()


def test_a_second_test_does_not_see_the_first_ones_table(database_url: str) -> None:
    test_each_test_gets_an_empty_database(database_url)


def test_postgres_is_postgres(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        assert "PostgreSQL 18" in connection.execute(sa.text("SELECT version()")).scalar_one()
    engine.dispose()
