"""The report in headless Chromium, if Playwright for Python and the chromium of the system are installed."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from planted_texts import make_texts
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import TopicModel
from codebooks.report import write_report

pytest.importorskip("jinja2", reason="The report needs Jinja2.")
playwright = pytest.importorskip("playwright.sync_api", reason="Install Playwright: pip install playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Install Chromium: apt-get install chromium"),
]

HOSTILE = "</script><script>alert(1)</script>\"'\u2028<img/src=x/onerror=alert(2)>"
TEXTS, LABELS = make_texts(n=12)
TEXTS[0] = f"{HOSTILE} {TEXTS[0]}"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    vectorizer = CountVectorizer(token_pattern=r"\S+", lowercase=False, min_df=2)
    texts = [*TEXTS, *(f"=1+1 {HOSTILE.strip()} guitar band song" for _ in range(3)), "unknown"]
    model = TopicModel(4, language=None, vectorizer=vectorizer, random_state=0).fit(texts)
    model = model.rename({0: HOSTILE, 1: "=SUM(A1)"})
    file = tmp_path_factory.mktemp("report") / "report.html"
    dates = [f"2024-{1 + i % 6:02}-01" for i in range(len(texts))]
    write_report(model, file, labels=[*LABELS, *[HOSTILE] * 4], timestamps=dates, title=HOSTILE)
    return file.as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens the report; errors, dialogs and requests fail the test."""
    problems, contexts = [], []

    def open_page(**settings):
        contexts.append(browser.new_context(**{**DESKTOP, **settings}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: request.url == address or problems.append(request.url))
        page.goto(address)
        assert page.evaluate("document.documentElement.dataset.ready") == "true"
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [problem for problem in problems if problem != "data:,"]


def list_names(page):
    return page.locator("tr.row:visible .open bdi").all_inner_texts()


def test_page_shows_hostile_text_as_text(open_page):
    page = open_page()
    for button in page.locator(".open").all():
        button.click()
    page.fill("#query", "alert")
    page.wait_for_selector("#results li")
    page.select_option("#highlight", "0")
    shown = page.locator("body").inner_text()
    assert shown.count("<script>alert(1)</script>") > 10
    assert page.locator("h1").inner_text().startswith("</script><script>alert(1)</script>\"'")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize("settings", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page_fits_the_width(open_page, settings):
    page = open_page(**settings)
    for button in page.locator(".open").all():
        button.click()
    page.fill("#query", "goal")
    page.wait_for_selector("#results li")
    # The inner width of a phone grows with the page.
    assert page.evaluate("document.documentElement.scrollWidth") <= settings["viewport"]["width"]


def test_page_sorts_topics(open_page):
    page = open_page()

    def sort(key):
        page.locator(f"th[data-key={key}] button").click()
        column = {"id": 1, "size": 3}.get(key, 2)
        return page.locator(f"th[data-key={key}]").get_attribute("aria-sort"), [
            text.split("\n")[0] for text in page.locator(f"tr.row td:nth-child({column})").all_inner_texts()
        ]

    page.locator(".open").first.click()
    assert sort("id") == ("ascending", ["0", "1", "2", "3"])
    assert page.locator("tr.row.is-open + tr.detail").count() == 1
    assert sort("id") == ("descending", ["3", "2", "1", "0"])
    order, sizes = sort("size")
    assert (order, sizes) == ("descending", sorted(sizes, key=int, reverse=True))
    order, sizes = sort("size")
    assert (order, sizes) == ("ascending", sorted(sizes, key=int))


def test_page_search_and_filter(open_page):
    page = open_page()
    page.fill("#filter", "orbit")
    [name] = list_names(page)
    assert page.locator("#filter-count").inner_text() == "1 of 4 topics"
    page.fill("#query", "rocket orb")
    page.wait_for_selector("#results mark")
    expected = sum("rocket" in text and "orb" in text for text in TEXTS)
    assert page.locator("#results h3").all_inner_texts()[1].startswith(f"{expected} document")
    page.fill("#query", "(.* [a-z]")
    page.locator("#results h3", has_text="0 documents").wait_for()
    # A link to a topic that the filter hides shows it.
    page.fill("#query", "guitar")
    page.wait_for_selector("#results a.topic")
    page.locator("#results a.topic").first.click()
    assert len(list_names(page)) == 4
    assert page.locator("tr.is-open").count() == 1
    assert name != page.locator("tr.is-open .open bdi").inner_text()


def test_page_topics_by_keyboard(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the topics"
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        identity = page.evaluate("document.activeElement.closest('tr.row')?.id")
        if identity and page.evaluate("document.activeElement.className") == "open" and identity not in reached:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
            reached.append(identity)
            page.keyboard.press("Enter")
    assert len(reached) == 4
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#selection li").count() == 1


def test_page_lasso_and_click_select_documents(open_page):
    page = open_page()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2), (2, 4)]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in corners:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.up()
    n_mapped = page.evaluate("mapped.length")
    assert page.locator("#selection h3").inner_text().startswith(f"Selected {n_mapped} documents")
    page.locator("#clear").click()
    assert page.locator("#selection li").count() == 0
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    x, y = page.evaluate("[data.map.x[1], data.map.y[1]]")
    page.mouse.click(box["x"] + 14 + x * (box["width"] - 28) / 1000, box["y"] + 14 + y * (box["height"] - 28) / 1000)
    assert page.locator("#selection li").inner_text().split(":")[0].startswith("document")


def test_page_downloads(open_page):
    page = open_page()
    tables = {}
    for button in page.locator("[data-table]").all():
        with page.expect_download() as download:
            button.click()
        text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
        tables[download.value.suggested_filename] = list(csv.reader(io.StringIO(text, newline="")))
    assert sorted(tables) == ["documents.csv", "labels.csv", "topics.csv", "trends.csv"]
    assert [row[1] for row in tables["topics.csv"]][1:3] == [HOSTILE, "'=SUM(A1)"]
    assert len(tables["documents.csv"]) == len(TEXTS) + 5
    assert tables["documents.csv"][1][4].startswith(HOSTILE)
    assert tables["documents.csv"][len(TEXTS) + 1][4].startswith("'=1+1")
    assert len(tables["trends.csv"]) == 6 * 4 + 1
    assert sum(int(cell) for row in tables["labels.csv"][1:] for cell in row[2:]) == len(TEXTS) + 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(open_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="Install axe-playwright-python")
    page = open_page(color_scheme=scheme, bypass_csp=True)
    page.locator(".open").first.click()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    found = axe.Axe().run(page).response["violations"]
    assert [(item["id"], item["nodes"][0]["html"]) for item in found] == []
