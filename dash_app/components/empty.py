"""What stands where there is nothing to show, and what to do about it."""

from shlex import quote
from typing import Any

from dash import html


def empty(title: str, *lines: Any) -> html.Div:
    """A title and paragraphs."""
    return html.Div(
        [html.H2(title), *(html.P(line) for line in lines)],
        className="fp-card fp-empty",
    )


def no_site() -> html.Div:
    """Nobody has registered a site and no event has come."""
    return empty(
        "No site yet",
        "A site appears with its first event, or when somebody registers it:",
        [html.Code("floorpulse load events.csv --site plant")],
        [html.Code("floorpulse site set plant --timezone Europe/Berlin")],
        "To look around with a simulated plant:",
        [html.Code("floorpulse up --demo")],
    )


def no_events(
    where: str, link: str | None, last: str | None, site_id: str | None
) -> html.Div:
    """Nothing in the range; `link` leads to where there is something, on day `last`."""
    if link is None:
        site = quote(site_id) if site_id else "plant"
        return empty(
            "No events yet",
            f"{where} has no events. They show here as soon as they come in.",
            "To load some from a file:",
            [html.Code(f"floorpulse load events.csv --site {site}")],
        )
    return empty(
        "Nothing in this range",
        f"{where} has no events in it. The last ones are of {last}.",
        [html.A(f"Show {last}", href=link)],
    )
