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
