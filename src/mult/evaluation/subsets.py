"""Tables of the losses of networks for subsets of the tasks: reading one, relative ones, and prediction from pairs.

A row is a trained network, a column a task; less is better, NaN says that the network lacks the task.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from mult.errors import UserError

COST = "cost"  # the column of a file that is no task


def read_table(path: Path | str) -> tuple[pd.DataFrame, pd.Series | None]:
    """A CSV file's table of losses and, if it has a column ``cost``, the networks' costs.

    The first column is the networks' names, every other a task or ``cost``; a cell is empty where a network lacks the
    task.

    Raises:
        UserError: no such table, or a cell that is no number.
    """
    try:
        cells = pd.read_csv(path, header=None, dtype=str, skipinitialspace=True)
    except ValueError as error:
        raise UserError(f"{path}: no CSV table: {str(error).strip()}") from None
    table = pd.DataFrame(cells.iloc[1:, 1:].to_numpy(), cells.iloc[1:, 0].fillna(""), cells.iloc[0, 1:].fillna(""))
    for names, kind in ((table.columns, "column"), (table.index, "network")):
        if names.has_duplicates:
            raise UserError(f"{path}: {kind} {names[names.duplicated()][0]!r} is there twice")
        if "" in names:
            raise UserError(f"{path}: a {kind} has no name; the first line and the first column are names")
    for column in table:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (wrong := numbers.isna() & table[column].notna()).any():
            raise UserError(f"{path}: {table.index[wrong][0]}, {column}: {table[column][wrong].iloc[0]!r} is no number")
        table[column] = numbers.astype(float)
    table = table.rename_axis(index=None, columns=None).astype(float)
    return (table.drop(columns=COST), table[COST]) if COST in table else (table, None)


def singles(table: pd.DataFrame) -> pd.Series:
    """Each task's loss when learnt alone: that of the first network that has this task and no other.

    Raises:
        UserError: a task that no network has alone.
    """
    alone = table[table.count(axis=1) == 1]
    if missing := [task for task in table if alone[task].isna().all()]:
        raise UserError(f"{missing[0]}: no network has this task alone; add its one-task network to the table")
    return pd.Series({task: alone[task].dropna().iloc[0] for task in table})


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Losses of two-task networks: row = evaluated task, column = partner; NaN where there is no such network."""
    matrix = pd.DataFrame(index=table.columns, columns=table.columns, dtype=float)
    for first, second in combinations(table.columns, 2):
        both = table[(table.count(axis=1) == 2) & table[[first, second]].notna().all(axis=1)]
        if len(both):
            matrix.loc[first, second], matrix.loc[second, first] = both[[first, second]].iloc[0]
    return matrix


def relative_to_single(table: pd.DataFrame) -> pd.DataFrame:
    """Percent by which each loss is above that of the task alone (``singles``); below 0 is better.

    Raises:
        UserError: a task that no network has alone, or whose loss there is not above 0.
    """
    alone = singles(table)
    if not (alone > 0).all():
        task = alone.index[~(alone > 0)][0]
        raise UserError(f"{task}: its one-task loss is {alone[task]:g}; percentages of it need one above 0")
    return 100 * (table / alone - 1)


def higher_order(singles: pd.Series, pairs: pd.DataFrame, tasks: Sequence[str]) -> pd.Series:
    """Predicted losses of a network that is to learn ``tasks``: the higher-order approximation of Standley et al. 2020.

    With two tasks and more a task's loss is the mean of its losses in the two-task networks with each of the others.

    Args:
        singles: losses of one-task networks.
        pairs: losses of two-task networks, row = evaluated task, column = partner.
        tasks: at least one.

    Returns:
        One loss a task; NaN where one of its pairs is.
    """
    if len(tasks) == 1:
        return singles[list(tasks)]
    return pd.Series({t: pairs.loc[t, [u for u in tasks if u != t]].mean(skipna=False) for t in tasks})


def predicted(table: pd.DataFrame) -> pd.DataFrame:
    """The table as one- and two-task networks predict it, with a row for every subset of the tasks.

    Networks of one and two tasks stay as they are; losses of larger ones are replaced by ``higher_order``, and subsets
    that the table lacks are added under their tasks' names with ``+`` between.

    Raises:
        UserError: a task that no network has alone.
    """
    alone, together = singles(table), pairs(table)
    subsets = {name: tuple(table.columns[has]) for name, has in zip(table.index, table.notna().to_numpy(), strict=True)}
    rows = {name: table.loc[name] for name in table.index}
    for size in range(3, len(table.columns) + 1):
        for tasks in combinations(table.columns, size):
            names = [name for name, has in subsets.items() if has == tasks] or ["+".join(tasks)]
            rows |= dict.fromkeys(names, higher_order(alone, together, tasks))
    return pd.DataFrame(rows).T.reindex(columns=table.columns).dropna(how="all")
