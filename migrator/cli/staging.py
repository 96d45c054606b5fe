"""The commands `migrator staging …`: arguments in, one call, one print."""

from __future__ import annotations

import typer

from migrator.cli.context import Json, answer, opened_project, stdout

staging_app = typer.Typer(help="Look after the files of datasets.", no_args_is_help=True)


@staging_app.command("free")
def staging_free(as_json: Json = False) -> None:
    """Remove local copies of what is in the shared place (`staging`), whole; what is needed again is brought again."""
    from migrator.commands.staging import free as call
    from migrator.staging.room import amount

    found = call(opened_project())
    answer(
        as_json, found.to_json,
        lambda: stdout.print(
            f"{found.files:,} files, {amount(found.bytes)}: still in {found.place}", highlight=False, markup=False
        ),
    )  # fmt: skip
