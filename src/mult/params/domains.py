"""What it is trained and scored on."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from mult.params.fields import Count, PathText, Section


class EmbeddedDomain(Section):
    """Images of a domain that renders itself; ``views`` a room or a map's visit."""

    train: Annotated[int, Field(ge=0, le=10**7)] = 0
    val: Annotated[int, Field(ge=0, le=10**7)] = 0
    test: Count
    views: Annotated[int, Field(ge=1, le=100)]  # a map of Doom has not many more places to look from
    edge_sigma: Annotated[float, Field(gt=0, le=64)]


class RealDomain(Section):
    """A data set that the user has: ``root`` is its folder, ``split`` its partition, such as ``fullplus``, or a .csv.

    ``train``, ``val`` and ``test``: how many images of each to use at most (mult.data.index.build); all where none is
    said. ``damaged``: of how many views files may turn out to be damaged before that is an error.
    """

    root: PathText
    split: PathText | None = None
    train: Count | None = None
    val: Count | None = None
    test: Count | None = None
    damaged: Annotated[int, Field(ge=0, le=10**9)] = 100


def _kind(domain: Any) -> str:
    given = domain if isinstance(domain, dict) else vars(domain) if isinstance(domain, RealDomain) else {}
    return "real" if "root" in given else "embedded"


Domain = Annotated[
    Annotated[EmbeddedDomain, Tag("embedded")] | Annotated[RealDomain, Tag("real")], Discriminator(_kind)
]

# Partitions by name of the data sets in place, as their readers have them; a test holds them equal. (An import costs
# OpenCV.) Where a file may be named it is a .csv.
PARTITIONS = {
    "taskonomy": ("tiny", "medium", "full", "fullplus", ".csv"),
    "replica": ("scenes", ".csv"),
    "nyuv2": (),
    "cocodoom": ("run", "map", "run-full", "map-full"),
}


def mistake(name: str, domain: EmbeddedDomain | RealDomain) -> str | None:
    """What is wrong with ``domain`` for one of this name; None where nothing is."""
    if isinstance(domain, EmbeddedDomain):
        return f"domains.{name}: {name} is read in place and needs a `root`" if name in PARTITIONS else None
    known = PARTITIONS.get(name, ())  # one that renders itself may have been packed into shards
    if domain.split in (None, *known) or (".csv" in known and domain.split.endswith(".csv")):
        return None
    choice = ", ".join(known) or "(there is nothing to choose; leave it out)"
    return f"domains.{name}.split: {domain.split!r} is none of {choice}"
