"""Equal rows have equal digests, in whatever order they come; others do not."""

import pytest

from eventcore.model_tables import Values
from eventcore.row_digest import RowDigest, TableDigest

A: Values = ("a", 1, None)
B: Values = ("b", 2, b"\x00")


def digest(*parts: list[Values]) -> TableDigest:
    digest = RowDigest()
    for rows in parts:
        digest.add(rows)
    return digest.result()


def test_the_order_of_rows_and_how_they_are_cut_do_not_matter() -> None:
    assert digest([A, B]) == digest([B, A]) == digest([B], [], [A])
    assert digest([A, B]).rows == 2


def test_no_rows_are_no_rows() -> None:
    assert digest() == digest([]) == TableDigest(rows=0, digest=0)


@pytest.mark.parametrize(
    "row",
    [
        ("a", 1, ""),
        ("a", 1, b""),
        ("a", "1", None),
        (b"a", 1, None),
        ("a", None, 1),
        ("a", 1),
        ("a1", None),
    ],
    ids=repr,
)
def test_rows_differ_by_value_by_type_and_by_place(row: Values) -> None:
    assert digest([row]) != digest([A])


def test_a_row_that_is_there_twice_is_not_one_that_is_not_there() -> None:
    twice, other = digest([A, A]), digest([B, B])
    assert twice.digest not in {0, other.digest}
    assert twice != digest([A])
