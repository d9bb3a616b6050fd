"""How tasks are named and labelled in tables and figures."""

# The main figure of each task with its unit.
FIGURES = {
    "semseg": "mIoU",
    "depth": "RMSE, m",
    "normal": "mean angle, deg",
    "reshading": "L1",
    "keypoints": "L1",
    "edges": "L1",
}

# Each image's error in errors.csv with its unit.
ERRORS = {
    "semseg": "1 − accuracy",
    "depth": "m",
    "normal": "deg",
    "reshading": "L1",
    "keypoints": "L1",
    "edges": "L1",
}

# The error of one image (mult.evaluation.metrics): what it is, its unit, and what it is multiplied by to be in it.
IMAGE_ERRORS = {
    "semseg": ("wrong pixels", "%", 100.0),
    "depth": ("mean absolute error", "m", 1.0),
    "normal": ("mean angle", "°", 1.0),
    "reshading": ("mean absolute error, of 1", "", 1.0),
    "keypoints": ("mean absolute error, of Taskonomy's range", "", 1.0),
    "edges": ("mean absolute error, of Taskonomy's range", "", 1.0),
}

# What a reader who has not seen params.yaml must know of the models that pages show.
MODELS = {
    "input": "the image",
    "label": "the truth",
    "single": "one model a task",
    "self": "six tasks, each its own map from its own stream",
    "skip": "six tasks, each its own map from the encoder's skip",
    "shared": "six tasks, one map from the encoder's skip for all",
}

# The report's tables in the order in which they are shown.
SECTIONS = {
    "ablation": "With and without shared attention",
    "probes": "What trained models owe to their attention maps",
    "six_task": "Six tasks at once",
    "task_count": "Four, five and six tasks",
    "affinity": "Which task helps which",
    "grouping": "Which tasks to train together",
    "cross_domain": "On other domains",
    "fine_tuned": "On other domains after a short fine-tuning",
    "balancing": "How the tasks' losses are weighed",
    "cost": "What it costs",
    "trivial": "What can be had without looking",
}

# Figures that are shown with a table, before it; those of a domain, and others, come last.
FIGURES_OF = {
    "ablation": ("sharing", "sharing_tasks"),
    "six_task": ("gains",),
    "affinity": ("affinity",),
    "cross_domain": ("cross_domain",),
    "cost": ("cost",),
}


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, e.g. ``+0.3`` or ``-15.4``; a dash for NaN.

    What rounds to zero has no sign: to which side of it a value happened to fall says nothing.
    """
    if value != value:
        return "–"
    text = f"{value:+.{digits}f}"
    return text if text.strip("+-0.") else text[1:]
