"""What MySQL and MariaDB say to SHOW GRANTS is read as it is meant, in each of their notations."""

import pytest

from resetsvc.accounts.mysql_grants import Grant, read_grants

READ = {
    "GRANT SELECT (`id`, `email`), UPDATE (`password`), DELETE ON `shop`.`members` TO `u`@`localhost`": [
        Grant("SELECT", "shop", "members", frozenset({"id", "email"})),
        Grant("UPDATE", "shop", "members", frozenset({"password"})),
        Grant("DELETE", "shop", "members", None),
    ],
    # Older servers quote no columns, and some are told to quote nothing.
    "GRANT SELECT (ID, email) ON shop.members TO u@localhost": [
        Grant("SELECT", "shop", "members", frozenset({"ID", "email"}))
    ],
    'GRANT SELECT ON "shop"."members" TO "u"@"localhost"': [Grant("SELECT", "shop", "members", None)],
    "GRANT SELECT (`a``b ON c`) ON `shop`.`two words` TO `u`@`%` WITH GRANT OPTION": [
        Grant("SELECT", "shop", "two words", frozenset({"a`b ON c"}))
    ],
    "GRANT SELECT, CREATE VIEW ON `shop`.* TO `r`": [
        Grant("SELECT", "shop", None, None),
        Grant("CREATE VIEW", "shop", None, None),
    ],
    "GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `u`@`%`": [
        Grant("BACKUP_ADMIN", None, None, None),
        Grant("XA_RECOVER_ADMIN", None, None, None),
    ],
    "GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' IDENTIFIED BY PASSWORD '*B6 ON a.b TO'": [
        Grant("ALL PRIVILEGES", None, None, None)
    ],
    "GRANT USAGE ON *.* TO `u`@`localhost`": [],
    "GRANT `r1` TO `u`@`localhost`": [],
    "GRANT ` ON a.b TO ` TO `u`@`localhost`": [],
    "GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION": [],
    "GRANT EXECUTE ON FUNCTION `shop`.`f` TO `u`@`localhost`": [],
    "SET DEFAULT ROLE `r1` FOR `u`@`localhost`": [],
}


@pytest.mark.parametrize("line", list(READ))
def test_a_line_is_read_as_the_rights_that_it_grants(line: str) -> None:
    assert list(read_grants(line)) == READ[line]


@pytest.mark.parametrize(
    ("pattern", "schema", "fits"),
    [
        ("shop", "shop", True),
        ("shop", "shop2", False),
        ("shop%", "shop2", True),
        ("sho_", "shop", True),
        (r"sho\_", "shop", False),
        (r"sho\_", "sho_", True),
        ("s.op", "shop", False),
        ("*", "shop", True),
    ],
)
def test_a_right_on_all_tables_is_one_where_its_pattern_fits(pattern: str, schema: str, fits: bool) -> None:
    where = "*" if pattern == "*" else f"`{pattern}`"
    (grant,) = read_grants(f"GRANT SELECT ON {where}.* TO `u`@`localhost`")
    assert grant.is_in(schema) is fits


def test_a_right_on_one_table_is_in_the_schema_of_exactly_this_name() -> None:
    (grant,) = read_grants("GRANT SELECT ON `sho_`.`members` TO `u`@`localhost`")
    assert grant.is_in("sho_")
    assert not grant.is_in("shop")
