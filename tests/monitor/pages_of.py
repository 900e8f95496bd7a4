"""Pages as tests look at them: checked HTML, links, forms."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import html5lib

from tests.monitor.monitors import Answer, Browser
from tests.servers import until

# Names that peers can give to functions, and that a page must not fall for.
HOSTILE = {
    "script": b"<script>alert(1)</script>",
    "quotes": b"\"'&%/?#+;",
    "control": b"a\tb\x1b[31m",
    "bytes": b"\xff\xfename",
    "umlaut": "f\u00fcr \u202e\u0001".encode().replace(b" ", b"_"),
    "template": b"{{7*7}}{%raw%}",
    "long": b"x" * 500,
}


@dataclass(frozen=True)
class Shown:
    """A page that was read without an error of its HTML."""

    answer: Answer
    tree: Element

    @property
    def text(self) -> str:
        """What is written on the page, with single blanks."""
        return " ".join("".join(self.tree.itertext()).split())

    def find_all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.tree.iter(tag)
            if all(element.get(key) == value for key, value in attributes.items())
        ]

    def links(self, start: str = "/") -> list[str]:
        """Return the addresses of links that begin like this."""
        found = (element.get("href", "") for element in self.tree.iter("a"))
        return [address for address in found if address.startswith(start)]

    def rows(self, part: str) -> list[str]:
        """Return the texts of the rows of the tables in an element, by its id."""
        (element,) = [each for each in self.tree.iter() if each.get("id") == part]
        return [
            " ".join(" ".join(row.itertext()).split())
            for body in element.iter("tbody")
            for row in body.iter("tr")
        ]


def show(browser: Browser, path: str, status: int = 200) -> Shown:
    """Return a page, after checks that hold for all of them."""
    answer = browser.get(path)
    assert answer.status == status, answer.text[:2000]
    return checked(answer)


def checked(answer: Answer) -> Shown:
    """Return a page that is well-formed, and has no inline script or style."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(answer.text)
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue
        assert element.tag != "style"
        if element.tag == "script":
            assert (element.text or "") == ""
            assert element.get("src", "").startswith("/static/")
        for name, value in element.attrib.items():
            assert name != "style"
            assert not str(name).startswith("on"), (element.tag, name)
            if str(name) in ("href", "src", "action"):
                assert re.match(r"[/#]", value), value
    _check_ids(tree)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", answer.text)
    return Shown(answer, tree)


def _check_ids(tree: Element) -> None:
    ids = [found for each in tree.iter() if (found := each.get("id"))]
    assert len(ids) == len(set(ids)), sorted(ids)
    for each in tree.iter():
        wanted = [
            *[each.get("for")],
            *(each.get("aria-labelledby") or "").split(),
            *(each.get("aria-describedby") or "").split(),
        ]
        assert {found for found in wanted if found} <= set(ids), each.attrib


def act(browser: Browser, action: str, *targets: str, **fields: str) -> Answer:
    """Send the form of an action."""
    pairs = [("target", target) for target in targets]
    given = {"csrf": browser.token, "action": action, "back": "/audit", **fields}
    body = urlencode([*given.items(), *pairs]).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return browser.request("POST", "/act", body, kind)


def remark(browser: Browser, answer: Answer) -> str:
    """Return what is told on the page to which an answer sends a browser."""
    assert answer.status == 303, answer.text[:2000]
    page = show(browser, answer.headers["location"])
    (found,) = [
        each for each in page.tree.iter("div") if "remark" in each.get("class", "")
    ]
    return " ".join(" ".join(found.itertext()).split())


def until_shown(browser: Browser, path: str, text: str) -> Shown:
    """Return a page as soon as it has a text."""

    def found() -> Shown | None:
        answer = browser.get(path)
        page = checked(answer)
        return page if text in page.text else None

    page = until(found)
    assert page is not None
    return page


def fields(shown: Shown, action: str) -> Iterator[Mapping[str, str]]:
    """Yield the fields with which forms for an address are sent at first."""
    for form in shown.find_all("form", action=action):
        yield {
            each.get("name", ""): each.get("value", "") for each in form.iter("input")
        }
