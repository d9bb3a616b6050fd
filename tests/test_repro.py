from mult.repro import Graph


def test_long_ways_come_first():
    graph = Graph(
        needs={"prepare": set(), "train": {"prepare"}, "quick": {"prepare"}, "tables": {"train", "quick"}},
        weight={"prepare": 1, "train": 5, "quick": 1, "tables": 1},
        gpus=dict.fromkeys(["prepare", "train", "quick", "tables"], 0),
    )
    assert graph.feeds["prepare"] == {"train", "quick"}
    assert graph.path_length() == {"prepare": 7, "train": 6, "quick": 2, "tables": 1}
