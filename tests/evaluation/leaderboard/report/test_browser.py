"""The report in a browser, from the file system: no errors, pictures, sorting, filters, a phone, the keyboard."""

import shutil

import pytest

from disentangle_bench.evaluation.leaderboard.report.page import build

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait", reason="selenium is not installed").WebDriverWait
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory, make_record, put_run):
    root = tmp_path_factory.mktemp("site")
    for k, (method, labels) in enumerate([("simclr", ()), ("vicreg", ()), ("supervised", ("content",))]):
        cost = {"train_seconds": 9.0 - k, "parameters": 10**k, "images_per_second": k, "peak_memory_mb": k + 1}
        for seed in range(2):
            top1 = [0.7, 0.095, 0.99][k] + 0.001 * seed
            put_run(root / "runs", make_record("digits", method, seed, top1, labels=labels, cost=cost))
        put_run(root / "runs", make_record("digits", method, 5, 0.5, labels=labels, space="projection", cost=cost))
    return build(root / "runs", root / "report").as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    for flag in f"{flags} disable-component-update disable-sync".split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium, report):
    def show(width, height=900, scheme="light"):
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        chromium.get("about:blank")
        chromium.get(report)
        return chromium

    return show


def methods(browser):
    """(method, space) of the rows that are shown, in their order."""
    script = """const rows = [...document.querySelectorAll('#table-1 tbody tr')].filter(row => row.offsetParent);
        return rows.map(row => [row.cells[0].innerText, row.cells[1].innerText])"""
    return [tuple(row) for row in browser.execute_script(script)]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_errors_all_pictures_and_nothing_wider_than_the_screen(page, width, scheme):
    browser = page(width, scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    script = """const done = arguments[0], all = [...document.images];
        all.forEach(i => i.loading = 'eager');
        Promise.all(all.map(i => i.decode().then(() => null, () => i.src)))
            .then(failed => done([all.length, failed.filter(Boolean)]))"""
    count, broken = browser.execute_async_script(script)
    assert count > 15
    assert broken == []
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_sorting_by_number_and_by_name(page):
    browser = page(1280)
    buttons = browser.find_elements("css selector", "#table-1 thead tr:last-child button")
    number = [button.text for button in buttons].index("top1 % ↑")
    first = methods(browser)
    assert first[0] == ("simclr", "features")  # in blocks: without labels first
    assert first[-1][0] == "supervised"
    buttons[number].click()  # linear@1 top1, best first
    assert methods(browser)[0] == ("supervised", "features")
    buttons[number].click()
    assert methods(browser)[0] == ("vicreg", "features")  # 9.5 %, which as text would come after 50.0
    heading = browser.find_elements("css selector", "#table-1 thead tr:last-child th")[number]
    assert heading.get_attribute("aria-sort") == "ascending"
    buttons[0].click()
    assert [name for name, _ in methods(browser)] == sorted(name for name, _ in first)
    assert heading.get_attribute("aria-sort") is None


def test_the_first_click_sorts_the_cheapest_first_and_measures_tell_what_they_are(page):
    browser = page(1280)
    heads = browser.find_elements("css selector", "#table-1 thead tr:last-child th")
    seconds = next(head for head in heads if head.text == "train s")
    seconds.find_element("tag name", "button").click()
    assert seconds.get_attribute("aria-sort") == "ascending"
    tips = [th.get_attribute("title") for th in browser.find_elements("css selector", "#table-1 .groups th")]
    assert any("Multinomial logistic regression" in (tip or "") for tip in tips)


def test_the_name_of_the_row_stays_and_a_phone_shows_figures(page):
    browser = page(390)
    script = """const find = (what) => document.querySelector('#table-1' + what);
        const box = find('').parentElement, cell = find(' td.num');
        const first = cell.getBoundingClientRect().left; box.scrollLeft = 10000;
        const name = find(' tbody th').getBoundingClientRect();
        return [first, box.scrollLeft, name.left - box.getBoundingClientRect().left]"""
    first, scrolled, left = browser.execute_script(script)
    assert first < 250  # a figure is seen without scrolling
    assert scrolled > 0
    assert abs(left) < 3


def test_filters_by_words_and_labels(page):
    browser = page(1280)
    form = browser.find_element("css selector", "form.filters")
    words = form.find_element("name", "words")
    words.send_keys("SIM feat")
    assert methods(browser) == [("simclr", "features")]
    assert form.find_element("tag name", "output").text == "1 of 6 rows"
    words.clear()
    form.find_element("name", "blind").click()
    assert {name for name, _ in methods(browser)} == {"simclr", "vicreg"}


def test_the_keyboard_alone_sorts_filters_and_opens_a_card(page):
    browser = page(1280)
    keys = webdriver.Keys
    active = lambda: browser.switch_to.active_element  # noqa: E731
    browser.find_element("tag name", "body").send_keys(keys.TAB)
    assert active().text == "Skip to the tables"
    button = browser.find_element("css selector", "#table-1 thead button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(keys.ENTER)
    assert (
        browser.find_element("css selector", "#table-1 thead tr:last-child th").get_attribute("aria-sort")
        == "ascending"
    )
    link = browser.find_element("css selector", "#table-1 tbody a")
    link.send_keys(keys.ENTER)
    opened = "return location.hash !== '' && document.querySelector(location.hash).open"
    assert WebDriverWait(browser, 10).until(lambda browser: browser.execute_script(opened))
