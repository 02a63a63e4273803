"""Options that several commands share; each is an environment variable as well."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def option(flag: str, help_text: str, **more: Any) -> Any:
    """A typer option that FLOORPULSE_<OPTION> sets, too."""
    variable = flag.removeprefix("--").replace("-", "_").upper()
    return typer.Option(flag, help=help_text, envvar=f"FLOORPULSE_{variable}", **more)


Json = Annotated[bool, option("--json", "Print one JSON object on stdout.")]
Site = Annotated[str | None, option("--site", "The site; all of them without it.")]
ValidFrom = Annotated[
    str | None,
    option(
        "--valid-from",
        "From when on: a time, a date or 'beginning'. Without it: from the beginning "
        "while the site has no events, later from now. Local time unless an offset "
        "is given.",
        metavar="TIME",
    ),
]
SiteArgument = Annotated[str, typer.Argument(help="The site's id.")]
