from mult.data.sources import open_data
from mult.data.survey import spread, survey


def test_counts_and_an_even_choice(exported):
    source = open_data("taskonomy", exported)
    found = survey(source)
    assert found.splits == ["train", "val", "test"]
    assert [found.images(split) for split in found.splits] == [5, 2, 4]
    assert found.having["test"]["normal"] == 4
    every = [(view.group, view.name) for view in spread(source, found)]
    assert len(set(every)) == len(every) == 11
    some = [(view.group, view.name) for view in spread(source, found, 3)]
    assert some == [every[0], every[5], every[10]]
    assert [(view.group, view.name) for view in spread(source, found, 99)] == every


def test_one_split(exported):
    found = survey(open_data("taskonomy", exported), "val")
    assert found.splits == ["val"]
    assert found.images() == 2
