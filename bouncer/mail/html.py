"""The words of an HTML part, in lines as a reader sees them. Linear, and no parser."""

import html
import re

MAX_HTML = 64 * 1024

_LINE_ENDS = re.compile(
    r"</?(?:br|p|div|tr|td|th|li|ul|ol|table|h[1-6]|hr|blockquote|pre)\b[^<>]{0,2000}>", re.I
)
_TAG = re.compile(r"<[A-Za-z/!][^<>]{0,4000}>")
_BLANKS = re.compile(r"\n[ \t\xa0\n]+")
_UNSEEN = ("style", "script", "head")


def text_from_html(markup: str) -> str:
    """What is left of the markup when the tags are gone."""
    text = markup[:MAX_HTML]
    for element in _UNSEEN:
        text = _without(text, element)
    text = " ".join(text.split())
    text = _TAG.sub("", _LINE_ENDS.sub("\n", text))
    return _BLANKS.sub("\n", html.unescape(text).replace("\xa0", " "))


def _without(text: str, element: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text) or f"<{element}" not in lowered:
        return text
    kept, at, look = [], 0, 0
    while (begin := lowered.find(f"<{element}", look)) >= 0:
        look = begin + 1 + len(element)
        if lowered[look : look + 1].isalpha():  # <header> is no <head>
            continue
        kept.append(text[at:begin])
        at = look = lowered.find(f"</{element}", look)
        if at < 0:
            return "".join(kept)
    return "".join([*kept, text[at:]])
