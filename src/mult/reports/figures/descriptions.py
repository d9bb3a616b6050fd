"""What each figure is called and shows, for the page that it stands on; without matplotlib, which costs a second."""

from typing import NamedTuple


class Description(NamedTuple):
    """``alt`` is for who does not see the figure; ``caption`` is one sentence on how to read it."""

    title: str
    alt: str
    caption: str

    @property
    def heading(self) -> str:
        """The title as a sentence before others."""
        return self.title if self.title.endswith("?") else f"{self.title}."


DESCRIPTIONS = {
    "sharing": Description(
        "Does shared attention help?",
        "Forest plot of six-task variants compared in pairs: gain in percent over all tasks on the training domain "
        "and, smaller, on the other domains, each with a 95 % interval and the least detectable effect, and the answer "
        "in words.",
        "Fall of the error from the second variant to the first with its 95 % interval over new seeds and new rooms; "
        "so many seeds and rooms would often have missed an effect within the grey band.",
    ),
    "sharing_tasks": Description(
        "One map for all tasks, task by task",
        "Small forest plots, one a domain: gain of shared over skip in percent for each of the six tasks and all "
        "together, with 95 % intervals and least detectable effects.",
        "`shared` and `skip` differ in nothing but whether one map serves all tasks or each task has its own.",
    ),
    "gains": Description(
        "Six tasks at once against one at a time",
        "Points with intervals, a panel a task and one for their mean: gain in percent of each six-task variant and of "
        "the CNN baseline over one-task models.",
        "Gain in each task's main figure over the one-task models of the same seed, with 95 % t intervals over seeds.",
    ),
    "affinity": Description(
        "Which task helps which",
        "Two six by six heat maps, a row the evaluated task and a column its partner: gains of two-task models in "
        "percent, and the affinities that six-task trainings recorded.",
        "What a partner in training does for a task, measured by training all pairs (left) and recorded in passing "
        "while six tasks are trained (right).",
    ),
    "cross_domain": Description(
        "On other domains",
        "Points, a panel a task: change of the main figure in percent from the training domain to each other domain, "
        "for one-task models and the variants self, skip and shared.",
        "Change of each model's main figure from the domain on which it was trained to others, without fine-tuning.",
    ),
    "curves": Description(
        "How the trainings went",
        "Lines, a panel a task: validation loss by training step for each six-task variant.",
        "Validation loss of each task by step, means over seeds with their range.",
    ),
    "cost": Description(
        "Quality and cost",
        "Two scatter plots with a named point a model: mean gain over one-task models against multiply-accumulates and "
        "against parameters.",
        "Mean gain over one-task models against what a model costs; six one-task networks together stand at 0.",
    ),
}
_GALLERY = {
    "qualitative": Description(
        "Predictions on {domain}",
        "Three blocks of pictures of {domain}, for the best, the median and the worst test image: the label and the "
        "predictions of one-task models, self, skip and shared for six tasks, each with its error.",
        "Labels and predictions for the best, the median and the worst test image of {domain}, by the error of "
        "`shared`.",
    ),
    "attention": Description(
        "Attention maps on {domain}",
        "For three places of one image of {domain}: the weights of the tokens in their window at four decoder stages, "
        "of the shared map and of two tasks' own maps of skip, as coloured overlays.",
        "Where attention looks from three places of the median test image of {domain}, in units of an equal weight.",
    ),
}


def describe(name: str) -> Description:
    """The description of any figure, also of those that each domain has: ``qualitative-doom``, ``attention-doom``.

    Raises:
        KeyError: there is no such figure.
    """
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    kind, _, domain = name.partition("-")
    return Description(*(words.format(domain=domain) for words in _GALLERY[kind]))
