"""Sentences of a report for people: which of them say what happened."""

import re

from bouncer.reports.landmarks import SUPPOSING, SUPPOSING_WORDS

_AROUND_WORDS = ".,;:!?\"'()[]"
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n\s*\n|\n(?=[ \t]*[-*•·])")
_SUBJECT_LINE = re.compile(
    r"(?mi)^[ \t>*|-]{0,16}(?:(?:the )?subject(?: of the message is)?|betreff|objet|oggetto|asunto"
    r"|assunto|temat|onderwerp|тема|件名|主题|主旨|제목)[ \t]{0,4}[:：].*$"
)
_OF_SUBJECT_LINE = (
    "ubject", "etreff", "bjet", "ggetto", "sunto", "emat", "nderwerp", "ема", "件名", "主题",
    "主旨", "제목",
)  # fmt: skip


def without_subject_lines(text: str) -> str:
    """The text without what it quotes of the mail that failed: nobody who reports it said that."""
    if any(part in text for part in _OF_SUBJECT_LINE):
        return _SUBJECT_LINE.sub("", text)
    return text


def what_happened(text: str) -> str:
    """The sentences that tell what happened, on one line; neither what may be nor what to do."""
    sentences = _BETWEEN_SENTENCES.split(without_subject_lines(text))
    said = [sentence.split() for sentence in sentences if not _supposes(sentence.lower())]
    return " ".join(" ".join(words) for words in said)


def _supposes(sentence: str) -> bool:
    words = {word.strip(_AROUND_WORDS) for word in sentence.split()}
    return not SUPPOSING_WORDS.isdisjoint(words) or SUPPOSING.are_in(sentence)
