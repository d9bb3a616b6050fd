from mult.data.classes import COUNTERPARTS, class_map, comparable
from mult.data.domains import EMBEDDED, embedded
from mult.data.sources.nyu_tables import class_names
from mult.data.sources.taskonomy import CLASSES

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


def test_a_counterpart_is_a_class_of_some_domain_and_is_asked_for_by_one():
    known = {*CLASSES, *class_names(40), *class_names(13)}.union(*(embedded(name).classes for name in EMBEDDED))
    assert COUNTERPARTS.keys() <= known
    assert set().union(*COUNTERPARTS.values()) <= known


def test_rooms_in_terms_of_taskonomy_and_nyu():
    rooms = embedded("rooms-home").classes
    of = lambda name, target: target[class_map(rooms, target)[rooms.index(name)]]  # noqa: E731
    assert [of(name, CLASSES) for name in ("wall", "cabinet", "sofa", "book")] == ["background"] * 2 + ["couch", "book"]
    assert of("object", CLASSES) == "void"  # vases and bottles among others
    assert [of(name, class_names(40)) for name in ("book", "tv", "cabinet")] == ["books", "television", "cabinet"]


def test_one_class_in_common_is_no_comparison():
    doom, rooms = embedded("doom").classes, embedded("rooms-home").classes
    assert comparable(doom, rooms)
    assert comparable(rooms, doom)
    assert comparable(rooms, CLASSES)
    assert not comparable(doom, CLASSES)  # all that both have is background
    assert not comparable((), CLASSES)
    assert not comparable(CLASSES, ())
