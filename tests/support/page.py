"""A page, parsed."""

from html.parser import HTMLParser

from analysis.report import report

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Elements as (tag, attributes), text of each tag, and the tags that are left open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.text = [], {}, [], text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page(*studies, **options):
    return Page(report(*studies, **options).read_text(encoding="utf-8"))
