from mult.data.classes import class_map
from mult.data.domains import EMBEDDED, embedded

TASKONOMY = ("uncertain", "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table")


def test_same_names_and_aliases_map_and_the_rest_is_ignored():
    rooms = ("void", "wall", "chair", "sofa", "table", "plant", "object")
    table = class_map(TASKONOMY, rooms)
    assert [int(table[i]) for i in range(8)] == [0, 0, 6, 2, 3, 5, 0, 4]
    assert not table[8:].any()


def test_void_stays_void_in_every_pair_of_domains():
    for source in EMBEDDED:
        for target in EMBEDDED:
            table = class_map(embedded(source).classes, embedded(target).classes)
            assert table[0] == 0
            if source == target:
                assert table[: len(embedded(source).classes)].tolist() == list(range(len(embedded(source).classes)))
