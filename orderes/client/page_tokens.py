"""Page tokens that know what the first page of their list demanded.

A server binds a token to its query, of which the demand of freshness is a part. What the client
demands by itself differs from call to call; so the demand of the first page travels in the token.
Pages may then be asked for in different processes. Whoever wants the server's own tokens, for a
client in another language, gives a demand himself, or none: `catch_up=False`.
"""

from orderes.client.positions import Position

_SEPARATOR = "~"
"""In no token of a server: those are base64, as URLs take it."""


def own_token(token: str, demanded: Position | None) -> str:
    """The token for the caller; none for the end of the list."""
    if demanded is None or not token:
        return token
    return f"{demanded}{_SEPARATOR}{token}"


def server_token(token: str) -> tuple[str, Position | None]:
    """The token for the server, and what the client demanded of the first page by itself.

    Raises:
        ValueError: the token was damaged on its way.
    """
    demanded, separator, rest = token.rpartition(_SEPARATOR)
    return (rest, Position.parse(demanded)) if separator else (token, None)
