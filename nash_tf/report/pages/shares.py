"""Shares of test images with their intervals, as pages show them."""

from nash_tf.drawing.markup import tag
from nash_tf.drawing.number_words import NONE, percent
from nash_tf.records.tested import Share
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Cell


def interval(share: Share | None, digits: int = 2) -> str:
    """The bounds of a share, in per cent."""
    if share is None or share.interval is None:
        return NONE
    low, high = (percent(bound, digits) for bound in share.interval)
    return f"{low} to {high}\u00a0%"


def share_cell(share: Share | None, digits: int = 2) -> Cell:
    """A share with its interval, which goes on a line of its own where the table is narrow."""
    if share is None:
        return Cell(NONE, -1)
    bounds = tag("span", interval(share, digits), class_="soft bounds") if share.interval else None
    return Cell(html.together(f"{percent(share.value, digits)}\u00a0% ", bounds), share.value)
