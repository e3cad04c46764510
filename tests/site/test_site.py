"""The built site in a browser: it is found, read and searched, on a screen and on a telephone."""

import re

import pytest

from .conftest import ROOT, SITE

SCREENSHOTS = ROOT / "outputs" / "screenshots"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
IS_READ = re.compile(r"(?!reference/|404)")
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


@pytest.fixture(scope="session")
def contexts(browser):
    """Give a window for each look; each page that is opened in it is a tab."""
    return {look: browser.new_context(**settings) for look, settings in LOOKS.items()}


@pytest.fixture
def open_page(contexts, address):
    """Give a function that opens a page, and hold that nothing is missing or asked of others."""
    opened, faults = [], []

    def open_page(path, look="light"):
        page = contexts[look].new_page()
        opened.append(page)
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("request", lambda request: local(request.url) or faults.append(request.url))
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.goto(f"{address}/{path}")
        return page

    def local(url):
        return url.startswith((address, "data:", "blob:"))

    yield open_page
    for page in opened:
        page.close()
    assert not faults


def test_front_page_says_what_this_is_and_where_to_go(open_page):
    page = open_page("index.html")
    assert "Equinox" in page.title()
    assert page.get_by_role("link", name="Reference").first.is_visible()
    assert page.locator("article h1").count() == 1


def test_search_finds_a_function(open_page):
    page = open_page("index.html")
    page.locator("input.md-search__input").click()
    page.keyboard.type("filter_jit")
    found = page.locator(".md-search-result__link", has_text="filter_jit").first
    found.click()
    page.wait_for_url("**/reference/eqx-filter/compiling.html*")
    assert page.locator("[id='eqx_filter.filter_jit']").count() == 1


def test_search_finds_the_page_of_an_error_by_its_message(open_page):
    page = open_page("index.html")
    page.locator("input.md-search__input").click()
    page.keyboard.type("is not a valid JAX type")
    page.locator(".md-search-result__link").first.wait_for()
    found = page.locator(".md-search-result__link").all()
    assert any("faq.html" in link.get_attribute("href") for link in found)


def test_reference_tells_signature_arguments_shapes_and_what_is_raised(open_page):
    page = open_page("reference/eqx-nn/linear-layers-and-mlp.html")
    entry = page.locator(".doc-class", has=page.locator("[id='eqx_nn.Linear']"))
    told = entry.inner_text()
    for part in ("in_features", "Arguments:", "(out_features, in_features)", "Raises:"):
        assert part in told
    assert "use_bias: bool = True" in entry.locator(".doc-signature").first.inner_text()
    assert "equinox.nn.Linear" in page.locator("article").inner_text()


def test_a_function_that_a_page_tells_of_leads_to_the_reference(open_page):
    page = open_page("transformations/jit.html")
    page.locator("article a code", has_text="filter_jit").first.click()
    page.wait_for_url("**/reference/eqx-filter/compiling.html#eqx_filter.filter_jit")


SEEN = [(path, look) for path in PAGES for look in LOOKS if look == "phone" or IS_READ.match(path)]


@pytest.mark.parametrize(("path", "look"), SEEN)
def test_page_fits(open_page, path, look):
    """Screenshots of all looks are kept of the pages that somebody wrote, to be looked at."""
    page = open_page(path, look)
    if IS_READ.match(path):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        name = path.removesuffix(".html").replace("/", "_")
        page.screenshot(path=SCREENSHOTS / f"{name}_{look}.png", full_page=True)
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window
