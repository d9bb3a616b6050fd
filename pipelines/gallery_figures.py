"""The figures of a domain's gallery: reports/figures/qualitative-<domain> and attention-<domain>, .svg and .png.

python -m pipelines gallery_figures rooms-home
"""

from pathlib import Path

from mult import params
from mult.reports.figures.attention import attention
from mult.reports.figures.gallery import load_gallery
from mult.reports.figures.output import footnote, write
from mult.reports.figures.qualitative import qualitative


def main(domain: str) -> None:
    note, gallery = footnote(params.load()), load_gallery(Path("gallery") / domain)
    write(qualitative(gallery, note), f"qualitative-{domain}")
    write(attention(gallery, note), f"attention-{domain}")
