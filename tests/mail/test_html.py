"""The words of HTML parts."""

from bouncer.mail.html import text_from_html


def test_tags_go_and_lines_stay() -> None:
    markup = (
        "<head><title>x</title></head><style>p {}</style><p>550&nbsp;no<br>a &lt;b@c.example&gt;"
    )
    assert text_from_html(markup).split("\n") == ["", "550 no", "a <b@c.example>"]


def test_an_unclosed_style_hides_what_follows() -> None:
    assert text_from_html("seen<style>hidden") == "seen"
