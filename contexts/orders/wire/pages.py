"""Pages of lists, as queries ask for them."""

from typing import TypeVar

from eventcore.fields import FieldFaults
from eventcore.page_tokens import InvalidPageToken, PageStart, PageTokens

_K = TypeVar("_K")


def read_page_size(
    value: int, *, default: int, maximum: int, faults: FieldFaults
) -> int:
    """How many rows a page has at most: what is too much is cut to the maximum, 0 is not said."""
    if value < 0:
        faults.add("page_size", f"is {value}, must not be negative")
    return min(value, maximum) if value > 0 else default


def read_start(
    tokens: PageTokens[_K], token: str, bound_to: object, faults: FieldFaults
) -> PageStart[_K] | None:
    """Where a page begins; None is the beginning of the list.

    Args:
        tokens: Reads those of the list.
        token: That of the request.
        bound_to: The query, without what may differ between its pages.
        faults: Takes what is wrong with the token.
    """
    if not token:
        return None
    try:
        return tokens.read(token, query=bound_to)
    except InvalidPageToken as error:
        faults.add("page_token", str(error))
        return None
