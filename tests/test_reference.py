"""The reference pages say what the models say."""

import pytest

from bouncer.classify.category import Category
from tests import reference

PAGES = reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_not_stale(name: str) -> None:
    written = (reference.DOCS / name).read_text()
    assert written == PAGES[name], f"docs/{name} is stale: run `make docs`"


def test_every_category_is_explained() -> None:
    assert set(reference._CATEGORIES) == set(Category)
