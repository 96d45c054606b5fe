"""The command `migrator dedupe evaluate`: arguments in, one call, one print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from migrator.cli.context import Json, Unmask, answer, common, opened_project, stderr, stdout
from migrator.cli.progress import watched


def dedupe_evaluate(
    *,
    truth: Annotated[
        str,
        typer.Option("--truth", metavar="FILE", help="Who is who: a record key and an entity in each row."),
    ] = "",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Rows of the truth are pairs of records that are one.")
    ] = False,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="COLUMN",
            help="With --pairs: only rows where it says yes (true, same, 0.5 and more) are pairs that are one.",
        ),
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="COLUMN", help="The truth's column of keys. Default: the first of two."
        ),
    ] = "",
    entity: Annotated[
        str,
        typer.Option(
            "--entity",
            metavar="COLUMN",
            help="The truth's column of entities (of other keys with --pairs); without --truth, a column of the data.",
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--object", "-o", help="The mapping to measure. Default: the only one.")
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FILE", help="Match plain files instead of a project; repeatable."),
    ] = None,
    record_id: Annotated[
        str,
        typer.Option("--id", metavar="COLUMN", help="The data's column of keys. Default: found by its name."),
    ] = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="Do not look at this column; repeatable."),
    ] = None,
    across: Annotated[
        bool, typer.Option("--across", help="Each file holds nothing twice: compare only between files.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="auto|NAME|FILE",
            help="Built from the data, dedupe/NAME.yaml, or a file. Default: the mapping's rules; for files, auto.",
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="How files are read, such as encoding=gb18030; repeatable."),
    ] = None,
    worst: Annotated[int, typer.Option("--worst", min=0, help="Name so many errors of each kind.")] = 20,
    unmask: Unmask = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page to write. Default: dedupe-evaluation.html.")
    ] = None,
    min_precision: Annotated[
        float, typer.Option("--min-precision", min=0, max=1, help="Exit 1 below it, in the automatic band.")
    ] = 0.0,
    min_recall: Annotated[float, typer.Option("--min-recall", min=0, max=1, help="Likewise.")] = 0.0,
    min_f1: Annotated[float, typer.Option("--min-f1", min=0, max=1, help="Likewise.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Measure the matching against known truth: precision and recall by band and threshold, and the worst errors."""
    from migrator.cli.show_evaluate import evaluated
    from migrator.commands import evaluate as commands
    from migrator.commands.evaluate_data import DataFiles
    from migrator.commands.evaluated import Least, TruthFile, Wanted
    from migrator.core.mapped import Reach

    wanted = Wanted(
        TruthFile(truth, key, entity if truth else "", pairs, match), Reach.ACROSS if across else Reach.ALL, worst,
        unmask, out, Least(min_precision, min_recall, min_f1),
    )  # fmt: skip
    chosen = commands.chosen_model(model)
    with watched(stderr, common.log) as progress:
        if data:
            files = DataFiles(
                tuple(data), record_id, tuple(ignore or ()), "" if truth else entity, tuple(settings or ())
            )
            found = commands.evaluate_files(files, chosen, wanted, progress)
        else:
            found = commands.evaluate_project(opened_project(), name, chosen, wanted, progress)
    answer(as_json, found.to_json, lambda: evaluated(found, stdout))
    found.raise_unless_good_enough()
