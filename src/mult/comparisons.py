"""The ablation's answers in MLflow: one run a comparison of two variants, so that its charts show them side by side.

A run is known by the digest of its comparison's rows and question: the stage run again with the same outcome finds its
runs again and adds none.
"""

import hashlib
from collections.abc import Mapping

import pandas as pd

from mult import tracking
from mult.evaluation.ablation import ALL
from mult.files import read_json, write_json
from mult.process import STATE
from mult.reports.style import signed

STAGE = "ablation"  # tag `stage` of these runs


LOGGED = STATE / "comparisons.json"  # store and scale -> digest of what was logged there last


def log(table: pd.DataFrame, asks: Mapping[str, str], home: str, scale: str) -> None:
    """Log what ``mult.evaluation.ablation.ablation`` found; ``asks``: each comparison's question, in its order.

    Metrics, in percent of the second variant's error, + is better for the first: ``gain_pct/all`` on ``home``,
    ``gain_pct/<task>`` there, ``gain_pct/<domain>`` for all tasks elsewhere; ``gain_interval/low`` and ``/high``, the
    ends of the first one's 95 % interval. ``gain_in_detectable/…``: the same gains in units of the least effect that
    would have been found, so that one large gain does not flatten a chart of the others.
    """
    whole = hashlib.sha256((table.to_csv(index=False) + repr(asks)).encode()).hexdigest()
    place, logged = f"{tracking.store_uri()} {scale}", read_json(LOGGED) if LOGGED.exists() else {}
    if logged.get(place) == whole and tracking.store_exists():
        return  # importing MLflow takes longer than all of the ablation's table
    for comparison, question in asks.items():
        rows = table[table["comparison"] == comparison]
        digest = hashlib.sha256((rows.to_csv(index=False) + question).encode()).hexdigest()[:12]
        overall = rows[(rows["task"] == ALL) & (rows["domain"] == home)].iloc[0]
        variant, base = comparison.split(" over ")
        about = {"variant": variant, "base": base, "seeds": int(overall["seeds"]), "scale": scale}
        tags = {"stage": STAGE, "study": STAGE, "scale": scale, "digest": digest, "verdict": overall["verdict"]}
        tags["mlflow.note.content"] = (
            f"{question[0].upper()}{question[1:]}? **{overall['verdict']}**: {signed(overall['gain'])} % "
            f"[{signed(overall['low'])}, {signed(overall['high'])}] for all tasks on {home}. "
            f"Run it again: `dvc repro --single-item {STAGE}`"
        )
        with tracking.stage_run(comparison, about, tags, once="digest") as run:
            run.log(_metrics(rows, overall, home))
    write_json(LOGGED, logged | {place: whole})


def _metrics(rows: pd.DataFrame, overall: pd.Series, home: str) -> dict[str, float]:
    tasks = rows[(rows["domain"] == home) & (rows["task"] != ALL)].assign(name=lambda of: of["task"])
    domains = rows[(rows["domain"] != home) & (rows["task"] == ALL)].assign(name=lambda of: of["domain"])
    shown = pd.concat([overall.to_frame().T.assign(name="all"), tasks, domains])
    found = {"gain_interval/low": overall["low"], "gain_interval/high": overall["high"]}
    for row in shown.to_dict("records"):
        name = row["name"].replace("+", "-")
        found[f"gain_pct/{name}"] = row["gain"]
        if row["detectable"] > 0:
            found[f"gain_in_detectable/{name}"] = row["gain"] / row["detectable"]
    return {name: float(value) for name, value in found.items() if pd.notna(value)}
