"""Tables as the stages write them, small and made up, so that tests know what figures of them must show."""

import itertools

import numpy as np
import pandas as pd

from mult.reports.figures.cross_domain import MODELS
from mult.tasks import TASKS

HOME, AWAY = "rooms-home", ("rooms-loft", "doom", "rooms-home+blur")
COMPARISONS = {"shared over skip": "does one map help", "shared over self": "does it help at all", "a over b": "far"}
NAN = float("nan")


def ablation_table() -> pd.DataFrame:
    """Gains of 0.1, 0.2 and 30 %; the last one is significant on the training domain, and has no number on doom."""
    rows = []
    for (place, comparison), domain in itertools.product(enumerate(COMPARISONS), (HOME, *AWAY)):
        for k, task in enumerate(("all tasks", *TASKS)):
            gain = (0.1, 0.2, 30.0)[place] + 0.01 * k
            missing = comparison == "a over b" and domain == "doom"
            row = {"gain": gain, "low": gain - 1, "high": gain + 1.5, "detectable": 1.2, "p_holm": 0.5}
            verdict = "better" if comparison == "a over b" and domain == HOME else "no evidence"
            row = dict.fromkeys(row, NAN) if missing else row
            rows.append({"comparison": comparison, "domain": domain, "task": task, "verdict": verdict} | row)
    return pd.DataFrame(rows)


def results_table() -> pd.DataFrame:
    """Main figures of one-task models, of two variants with three seeds and of a CNN with one."""
    rows = []
    for k, (short, task) in enumerate(TASKS.items()):
        for stem, study, seeds in (
            (f"single-{short}", "single", 3),
            ("mult-skip", "six", 3),
            ("mult-shared", "six", 3),
            ("cnn-six", "baseline", 1),
        ):
            for seed in range(seeds):
                value = 1 + 0.1 * k + 0.01 * seed**2 + {"mult-skip": 0.1, "mult-shared": 0.05}.get(stem, 0)
                tasks = short if study == "single" else "+".join(TASKS)
                rows.append((f"{stem}-s{seed}", study, seed, HOME, "none", task.name, task.metric, value, tasks))
    columns = ["run", "study", "seed", "domain", "shift", "task", "metric", "value", "tasks"]
    return pd.DataFrame(rows, columns=columns)


def cost_table() -> pd.DataFrame:
    rows = [
        ("single, six of them", 23.0, 0.3),
        ("skip", 12.03, 0.1589),
        ("shared", 12.02, 0.1588),
        ("cnn-six", 8.0, 0.19),
    ]
    return pd.DataFrame(rows, columns=["model", "params_m", "gmacs"])


def affinity_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gains from -16 to 16 %, NaN on the diagonal, and TAG cells of half as many percent, every third of them clear."""
    tasks, gain = list(TASKS), np.linspace(-16, 16, 36).reshape(6, 6)
    np.fill_diagonal(gain, NAN)
    wide = pd.DataFrame(gain, columns=[f"with {task} %" for task in tasks])
    wide.insert(0, "on", tasks)
    cells = [
        (m, v, on, by)
        for m, v in (("gain", "pair"), ("tag", "shared"), ("tag", "skip"))
        for on in tasks
        for by in tasks
    ]
    cheap = pd.DataFrame(cells, columns=["measure", "variant", "on", "with"])
    at = [(tasks.index(on), tasks.index(by)) for on, by in zip(cheap["on"], cheap["with"], strict=True)]
    cheap["value"] = [gain[of] / (1 if m == "gain" else 200) for of, m in zip(at, cheap["measure"], strict=True)]
    cheap.loc[cheap["on"] == cheap["with"], "value"] = 0.9
    cheap["half"] = np.where(cheap["measure"] == "gain", NAN, np.where(cheap.index % 3, 9.0, 1e-9))
    return wide, cheap.assign(seeds=np.where(cheap["measure"] == "gain", 1, 3))


def domain_table() -> pd.DataFrame:
    rows = []
    for k, (domain, task) in enumerate(itertools.product((HOME, "rooms-loft", "rooms-kinect", "doom"), TASKS)):
        far = 50 if (domain, task) == ("doom", "depth") else 1
        rows.append(
            {"domain": domain, "task": task} | {model: far * (1 + 0.1 * k + 0.01 * i) for i, model in enumerate(MODELS)}
        )
    return pd.DataFrame(rows)


def history_table() -> pd.DataFrame:
    rows = []
    for variant, seed, step in itertools.product(("skip", "shared"), (0, 1, 2), (45, 90)):
        losses = {f"val/{task}_loss": k + 1 / step + seed for k, task in enumerate(TASKS)}
        rows.append({"variant": variant, "seed": seed, "step": step} | losses)
    return pd.DataFrame(rows)
