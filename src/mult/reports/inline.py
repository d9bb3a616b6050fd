"""Inline Markdown as HTML: emphasis and code, and nothing that could fetch, link or run anything."""

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

_MARKDOWN = MarkdownIt("zero").enable(["backticks", "emphasis", "escape"])
_MINUS = re.compile(r"(?<![\w.)-])-(?=\d)")


def inline(text: str) -> Markup:
    """``text`` as HTML; whatever is no `code`, *emphasis* or **bold** is escaped."""
    return Markup(_MARKDOWN.renderInline(text))


def number(text: str) -> Markup:
    """As ``inline``, with true minus signs before digits."""
    return inline(_MINUS.sub("\N{MINUS SIGN}", text))


def breakable(html: Markup) -> Markup:
    """``html`` with a place to break the line after each underscore, as browsers have one after a hyphen."""
    return Markup(html.replace("_", Markup("_<wbr>")))


def plain(text: str) -> str:
    """``text`` without its marks, for what can hold no HTML."""
    return re.sub(r"[*`]", "", text).strip()
