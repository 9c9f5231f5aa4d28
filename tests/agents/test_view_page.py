"""The page of a run in a real browser: what is drawn, keys, filters, addresses, hostile texts."""

import http.server
import shutil
import threading

import pytest
from view_runs import few_trees, many_trees, node, write_run

from murphy_agents.view import write_page

webdriver = pytest.importorskip("selenium.webdriver")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs the programs chromium and chromedriver"
)
WAYS = ["reward", "reward | credit", "credit", "gain", "advantage", "weight", "state"]
LONG = "\n".join(map(str, range(200)))
"""Longer than the details are high."""
HOSTILE = (
    '</script></pre><img src=x onerror="window.broken=1"><b>bold</b>\u2028\u202e\x00\x1b[2J\ud800'
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # No sandbox of the browser's own: it has none for root, and the page is ours.
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,800",
    ):
        options.add_argument(flag)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        driver = webdriver.Chrome(options=options, service=service)
        yield driver
        driver.quit()


class Page:
    """An open page, asked by scripts."""

    def __init__(self, browser, path):
        self.browser, self.path = browser, path
        browser.get_log("browser")
        self.go("")

    def go(self, address):
        self.browser.get("about:blank")
        self.browser.get(self.path.as_uri() + address)

    def ask(self, script, *arguments):
        return self.browser.execute_script(f"return {script}", *arguments)

    def texts(self, selector):
        return self.ask(
            "[...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
        )

    def text(self, selector):
        found = self.texts(selector)
        assert len(found) == 1, (selector, found)
        return found[0]

    def press(self, *keys):
        """Keys as a person presses them: they go where the focus is."""
        for key in keys:
            webdriver.ActionChains(self.browser, duration=0).send_keys(key).perform()

    def choose(self, name, value):
        script = (
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
        )
        self.ask(f"({script})(document.getElementById(arguments[0]), arguments[1])", name, value)

    @property
    def address(self):
        """What the address will be in a moment."""
        return self.ask("Object.fromEntries(new URLSearchParams(addressOf()))")

    @property
    def where(self):
        return self.address["tree"], self.address["node"]

    def errors(self):
        return self.browser.get_log("browser")


@pytest.fixture
def opened(browser, tmp_path):
    def open_page(records):
        return Page(browser, write_page(write_run(tmp_path / "run", records)))

    yield open_page
    assert browser.get_log("browser") == []


@pytest.fixture
def page(opened):
    return opened(few_trees())


def test_the_first_tree_is_drawn(page):
    assert page.text("#count") == "4 trees of 4, 9 attempts"
    assert page.texts(".row .where") == ["t", "u", "u", "t"]
    assert page.texts(".row .badge") == ["repaired", "solved", "never", "no verdict"]
    assert page.text("#tree-name") == "Step 1, problem 1: t"
    assert sorted(page.texts(".node")) == sorted(["0.5", "0", "1", "0.5", "0.25"])
    assert page.texts(".turn") == ["turn 1", "turn 2"]
    assert page.ask("[...document.querySelectorAll('.node.solved')].map((e) => e.ariaLabel)") == [
        "attempt 1.1, reward 1, credit 1, advantage +0.866, solved"
    ]


def test_a_tree_and_a_list_are_told_to_assistive_software(page):
    for box in ("tree", "list"):
        chosen = f"document.getElementById('{box}').getAttribute('aria-activedescendant')"
        assert page.ask(f"document.getElementById({chosen}).ariaSelected") == "true"
    assert page.ask("document.querySelectorAll('#tree > .sizer > [role=treeitem]').length") == 5
    levels = """[...document.querySelectorAll('[role=treeitem]')].map(
        (e) => [e.ariaLevel, e.ariaPosInSet, e.ariaSetSize].join())"""
    assert sorted(page.ask(levels)) == ["1,1,2", "1,2,2", "2,1,1", "2,1,2", "2,2,2"]
    unnamed = """[...document.querySelectorAll('input, select, button')].filter(
        (e) => !e.labels?.length && !e.textContent)"""
    assert page.ask(f"{unnamed}.length") == 0


def test_an_attempt_shows_figures_and_texts(page):
    page.go("#tree=1.1&node=1")
    figures = dict(zip(page.texts(".figures dt"), page.texts(".figures dd"), strict=True))
    assert figures == {
        "reward": "0.5", "credit": "1", "advantage": "+0.75", "weight": "0.5", "tokens": "3",
        "repairs": "2", "state": "trained",
    }  # fmt: skip
    assert page.text("[data-part=Program] pre") == "a\nb\nc"
    assert page.text("[data-part=Feedback] pre") == "b is wrong"
    assert page.text("[data-part=Completion] pre") == "<output>f = 1</output>"
    assert page.text("[data-part=Prompt] pre") == "1 2"
    page.go("#tree=1.1&node=2")
    assert page.text("[data-part=Program] p") == "no program was found"
    assert "cut at the token limit" in page.texts(".figures dd")
    page.go("#tree=2.2&node=1")
    assert page.text("[data-part='Why there is no verdict'] pre") == "the pool broke"


def test_a_repair_is_shown_against_its_parent(page):
    page.go("#tree=1.1&node=1.1")
    assert page.text("pre.difference") == "  a\n- b\n+ B\n  c\n+ d\n"
    assert page.text("[data-part=Difference] .note") == "+2 −1 lines"
    page.go("#tree=1.1&node=1.2")
    assert page.text("[data-part=Program] .note") == "the same as 1's"


TOP = "document.getElementById('details').scrollTop"


def test_an_attempt_stays_where_it_was_read(opened):
    page = opened([node([i], code=LONG, completion=LONG) for i in range(2)])
    page.ask("document.getElementById('details').scrollTo(0, 120)")
    page.press("c", "t")
    assert page.address["by"] == WAYS[1]
    assert page.ask(TOP) == 120
    page.press("\ue014")  # right
    assert page.where == ("1.1", "2")
    assert page.ask(TOP) == 0


def test_the_details_keep_the_focus(page):
    focused = "document.activeElement.parentElement.dataset.part"
    page.ask("document.querySelector('[data-part=Feedback] > summary').focus()")
    page.press("c")
    assert page.ask(focused) == "Feedback"
    page.press("\ue015")  # down, which scrolls
    assert page.where == ("1.1", "1")
    page.press("j")
    assert page.where == ("1.2", "1")
    assert page.ask(focused) == "Feedback"
    page.press("j", "j")
    assert page.where == ("2.2", "1"), "without a verdict, and so without feedback"
    assert page.ask("document.activeElement.id") == "details"


def test_home_and_end_scroll_the_details(opened):
    page = opened([node([0], problem=i, code=LONG, completion=LONG) for i in range(2)])
    page.press("j")
    page.ask("document.querySelector('[data-part=Program] > summary').focus()")
    page.press("\ue010")  # End
    WebDriverWait(page.browser, 10).until(lambda _: page.ask(TOP) > 0)
    page.press("\ue011")  # Home
    WebDriverWait(page.browser, 10).until(lambda _: page.ask(TOP) == 0)
    assert page.where == ("1.2", "1")


def test_differences_lead_from_one_program_to_the_other(page):
    script = """(() => {
        const texts = ['', 'a', 'ab', 'ba', 'abab', 'cbxa', 'xy', 'axby', 'abcdefg', 'bdfg']
            .map((letters) => [...letters].join('\\n'));
        const side = (told, sign) => told.filter(([s]) => s !== sign)
            .map(([, line]) => line).join('\\n');
        return texts.flatMap((old) => texts.map((now) => [old, now, difference(old, now)]))
            .filter(([old, now, told]) => side(told, '+') !== old || side(told, '-') !== now);
    })()"""
    assert page.ask(script) == []
    # b stays: one line goes, two come.
    assert page.ask("difference('a\\nb', 'x\\nb\\ny')") == [
        ["-", "a"], ["+", "x"], [" ", "b"], ["+", "y"]
    ]  # fmt: skip
    same_count = (
        "difference('a\\nb\\nc\\nd', 'b\\nx\\nd\\na').filter(([sign]) => sign === ' ').length"
    )
    assert page.ask(same_count) == 2


def test_arrows_walk_through_a_tree(page):
    page.press("\ue014")  # right
    assert page.where == ("1.1", "1.1")
    page.press("\ue014")
    assert page.where == ("1.1", "1.2")
    page.press("\ue014")
    assert page.where == ("1.1", "1.2"), "nothing is there"
    page.press("\ue015")  # down, to the nearest below
    assert page.where == ("1.1", "2.1")
    page.press("\ue012")  # left, to the parent
    assert page.where == ("1.1", "2")
    page.press("\ue013")  # up
    assert page.where == ("1.1", "1")


def test_keys_walk_through_trees(page):
    page.press("j", "j")
    assert page.where == ("2.1", "1")
    page.press("k")
    assert page.where == ("1.2", "1")
    page.press("\ue010")  # End
    assert page.where == ("2.2", "1")
    page.press("j")
    assert page.where == ("2.2", "1")
    page.press("\ue011")  # Home
    assert page.where == ("1.1", "1")
    page.ask("document.getElementById('list').focus()")
    page.press("\ue015", "\ue015", "\ue013")  # down, down, up
    assert page.where == ("1.2", "1")


def test_colours_go_round(page):
    found = []
    for _ in WAYS:
        found.append(page.address["by"])
        page.press("c")
    assert found == WAYS
    assert page.address["by"] == WAYS[0]


def test_search_takes_letters_that_are_keys_elsewhere(page):
    page.press("/", "u")
    assert page.ask("document.activeElement.id") == "query"
    assert page.text("#count") == "2 trees of 4, 3 attempts"
    assert page.where == ("1.2", "1")
    page.press("j")
    assert page.text("#count") == "0 trees of 4, 0 attempts"
    assert page.text("#tree-name") == "No tree matches"
    page.press("\ue003", "\ue00c", "j")  # backspace, escape
    assert page.where == ("2.1", "1")


def test_escape_leaves_the_search_and_keeps_its_text(page):
    page.press("/", "u", "\ue00c")
    assert page.ask("document.activeElement === document.body")
    assert page.ask("document.getElementById('query').value") == page.address["q"] == "u"
    assert page.text("#count") == "2 trees of 4, 3 attempts"


def test_nothing_of_a_tree_stays_where_none_matches(page):
    page.choose("query", "nothing")
    assert page.text("#tree-name") == "No tree matches"
    assert page.texts(".turn") == page.texts(".node") == page.texts("#details > *") == []
    assert page.ask("document.querySelector('#tree > .sizer').offsetHeight") == 0
    assert not page.ask("document.getElementById('tree').hasAttribute('aria-activedescendant')")
    page.choose("query", "")
    assert page.texts(".turn") == ["turn 1", "turn 2"]
    assert len(page.texts(".node")) == 5


def test_help_opens_and_closes(page):
    page.press("?")
    assert page.ask("document.getElementById('help').open")
    assert page.texts("#help-keys kbd").count("j") == 1
    page.press("j")
    assert page.where == ("1.1", "1"), "keys rest while help is open"
    page.press("\ue00c")
    assert not page.ask("document.getElementById('help').open")


@pytest.mark.parametrize(
    ("name", "value", "trees"),
    [
        ("step", "2", ["2.1", "2.2"]),
        ("task", "u", ["1.2", "2.1"]),
        ("outcome", "solved at turn 1", ["1.2"]),
        ("outcome", "repaired", ["1.1"]),
        ("outcome", "never solved", ["2.1"]),
        ("outcome", "with pruned", ["2.1"]),
        ("outcome", "with advantages", ["1.1"]),
        ("outcome", "cut at the token limit", ["1.1"]),
        ("outcome", "no verdict", ["2.2"]),
    ],
)
def test_filters_keep_the_trees_that_they_name(page, name, value, trees):
    page.choose(name, value)
    script = "kept(state).map((tree) => `${tree.step}.${tree.problem + 1}`)"
    assert page.ask(script) == trees
    assert len(page.texts(".row")) == len(trees)
    assert page.address["tree"] == trees[0]
    assert page.address[name] == value


def test_a_task_is_followed_over_steps(page):
    page.press("j", "t")
    assert page.address["task"] == "u"
    page.press("j")
    assert page.where == ("2.1", "1")
    page.press("t")
    assert page.text("#count").startswith("4 trees")


def test_all_steps_of_a_task_are_followed_whatever_was_filtered(page):
    page.go("#tree=1.1&step=1&outcome=repaired&q=T")
    assert page.text("#count") == "1 tree of 4, 5 attempts"
    page.press("t")
    assert page.text("#count") == "2 trees of 4, 6 attempts"
    assert page.address == {"tree": "1.1", "node": "1", "task": "t", "by": "reward"}
    controls = "['step', 'task', 'outcome', 'query'].map((id) => document.getElementById(id).value)"
    assert page.ask(controls) == ["", "t", "", ""]


def test_an_address_leads_back_to_its_place(page):
    page.go("#tree=2.1&node=1.1&by=advantage&task=u")
    assert page.where == ("2.1", "1.1")
    assert page.ask("document.getElementById('by').value") == "advantage"
    assert page.text("#details h2") == "Attempt 1.1"
    page.go("#tree=9.9&node=7&by=nothing&outcome=none&step=")
    assert page.where == ("1.1", "1")
    assert page.address["by"] == "reward"
    page.ask("location.hash = '#tree=2.2'")
    WebDriverWait(page.browser, 10).until(lambda _: page.where == ("2.2", "1"))


@pytest.mark.parametrize("filters", ["step=9", "step=1.0", "task=gone", "outcome=constructor"])
def test_a_filter_that_is_not_offered_is_passed_over(page, filters):
    page.go(f"#tree=2.1&{filters}")
    assert page.text("#count") == "4 trees of 4, 9 attempts"
    assert page.address == {"tree": "2.1", "node": "1", "by": "reward"}


def test_the_address_follows(page):
    page.press("j", "c")
    there = "#tree=1.2&node=1&by=reward+%7C+credit"
    WebDriverWait(page.browser, 10).until(lambda _: page.ask("location.hash") == there)


def test_the_legend_has_numbers(page):
    # Advantages reach 0.866: the scale goes as far on both sides.
    page.go("#by=advantage")
    scale = page.texts("#legend > .swatch")
    assert scale == ["−0.866", "−0.433", "0", "+0.433", "+0.866"]
    page.go("#by=reward")
    assert page.texts("#legend > .swatch") == ["0", "0.25", "0.5", "0.75", "1"]
    assert page.texts("#legend .keyed") == [
        "✓solved (1)",
        "pruned (0)",
        "–no value; no verdict (0)",
    ]
    page.go("#tree=2.1&by=state")
    assert [text for text in page.texts("#legend .keyed") if text.endswith("(1)")] == [
        "0trained, advantage 0 (1)", "ppruned (1)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rewards", "scale"),
    [
        ([-5.0, -1.0, 0.0], ["−5", "−3.75", "−2.5", "−1.25", "0"]),
        ([0.0, 0.0, 0.0], ["0", "0.25", "0.5", "0.75", "1"]),
    ],
)
def test_a_scale_without_a_figure_above_0(opened, rewards, scale):
    page = opened([node([i], reward) for i, reward in enumerate(rewards)])
    assert page.texts("#legend > .swatch") == scale
    colours = "[...document.querySelectorAll('.part')].map((e) => e.style.backgroundColor)"
    assert len(set(page.ask(colours))) == len(set(rewards))


def test_the_legend_says_what_a_weight_is(page):
    page.go("#by=weight")
    meaning = "weight: share in the loss; 1 / group size unless balanced"
    assert page.text("#legend .meaning") == meaning


def test_what_has_no_token_is_not_trained(opened):
    page = opened([node([0], 0.5, completion_ids=[], advantage=1.0), node([1], advantage=-1.0)])
    assert page.ask("trees[0].all.map(stateOf)") == ["untrained", "trained"]
    assert "not trained" in page.texts(".figures dd")


@pytest.mark.parametrize(("beta", "state"), [(0, "untrained"), (0.04, "silent")])
def test_without_a_kl_term_an_advantage_of_0_is_not_trained(opened, tmp_path, beta, state):
    write_run(tmp_path / "run", [])
    (tmp_path / "run" / "config.json").write_text(f'{{"beta": {beta}}}')
    page = opened([node([0]), node([1], advantage=1.0)])
    assert page.ask("trees[0].all.map(stateOf)") == [state, "trained"]
    assert ("not trained" in page.texts(".figures dd")) == (beta == 0)


def test_figures_stand_out_from_their_colours(page):
    script = """(() => {
        const share = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const ink = (colour) => share(luminance(colour), inkOn(colour) === '#000' ? 0 : 1);
        const steps = Array.from({ length: 101 }, (_, i) => i / 100);
        const onScale = (stops) => steps.map((at) => ink(between(stops, at)));
        const states = Object.values(STATES).map(({ colour }) => ink(colour));
        return Math.min(...onScale(SEQUENTIAL), ...onScale(DIVERGING), ...states);
    })()"""
    assert page.ask(script) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_both_schemes(page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    script = """(() => {
        const share = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const parts = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
        const of = (element, name) => luminance(parts(getComputedStyle(element)[name]));
        const back = of(document.body, 'backgroundColor');
        const count = document.getElementById('count');
        return [share(of(document.body, 'color'), back), share(of(count, 'color'), back), back];
    })()"""
    ink, faint, back = page.ask(script)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert ink >= 7
    assert faint >= 4.5
    assert (back > 0.5) == (scheme == "light")


def test_texts_of_programs_are_only_text(opened):
    texts = {"completion": HOSTILE, "feedback": HOSTILE, "code": HOSTILE, "task_id": HOSTILE}
    child = node([0, 0], **{**texts, "code": HOSTILE + "\nmore"})
    page = opened([node([0], **texts), child])
    shown = HOSTILE.replace("\u2028", "⟨U+2028⟩").replace("\u202e", "⟨U+202E⟩")
    shown = shown.replace("\x00", "␀").replace("\x1b", "␛").replace("\ud800", "⟨U+D800⟩")
    for part in ("Completion", "Feedback", "Program"):
        assert page.text(f"[data-part={part}] pre") == shown
    assert page.text(".row .where") == shown
    assert page.text("#tree-name") == f"Step 1, problem 1: {shown}"
    page.press("\ue014")
    assert page.text("pre.difference") == f"  {shown}\n+ more\n"
    assert page.ask("document.querySelectorAll('img, b').length") == 0
    assert page.ask("window.broken === undefined")
    page.press("t")
    assert page.text("#count").startswith("1 tree ")


def test_what_cannot_be_seen_is_written_out(page):
    # A soft hyphen, a filler of Hangul, a tag, a mark of Arabic; an emoji and an accent stay.
    unseen = ["\u00ad", "\u3164", "\U000e0041", "\u061c", "\u200b", "\ufe0f", "\x85"]
    shown = page.ask("visible(arguments[0])", "a" + "".join(unseen) + "😀é\n")
    assert shown == "a" + "".join(f"⟨U+{ord(char):04X}⟩" for char in unseen) + "😀é\n"


def test_the_page_can_reach_no_network(opened):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

    page = opened(few_trees())
    assert page.ask("performance.getEntriesByType('resource').length") == 0
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            told = page.ask(
                """(async (url) => {
                    const image = new Promise((done) => {
                        const element = new Image();
                        element.onload = () => done('image');
                        element.onerror = () => done('refused');
                        element.src = url;
                    });
                    const script = document.createElement('script');
                    script.textContent = 'window.injected = 1';
                    document.body.append(script);
                    const fetched = fetch(url).then(() => 'fetched', () => 'refused');
                    return [await image, await fetched, window.injected === undefined];
                })(arguments[0])""",
                f"http://127.0.0.1:{server.server_address[1]}/x",
            )
        finally:
            server.shutdown()
            thread.join()
    assert told == ["refused", "refused", True]
    assert asked == []
    for refusal in page.errors():
        assert "Content Security Policy" in refusal["message"]


MOST_ELEMENTS = 2000


def elements(page):
    return page.ask("document.querySelector('main').querySelectorAll('*').length")


def test_of_many_trees_only_those_in_sight_are_drawn(opened):
    page = opened(many_trees(139))  # 139 * (8 + 64) = 10,008 nodes
    assert page.text("#count") == "139 trees of 139, 10,008 attempts"
    assert elements(page) < MOST_ELEMENTS
    page.press("\ue010")  # End
    assert page.where == ("1.139", "1")
    assert "task-138" in page.texts(".row .where")
    assert elements(page) < MOST_ELEMENTS
    page.ask("document.getElementById('list').scrollTo(0, 60 * 46)")
    WebDriverWait(page.browser, 10).until(lambda _: "task-62" in page.texts(".row .where"))
    # 800 pixels hold 17 rows of 46; some spare ones stand above and below them.
    assert len(page.texts(".row")) < 40
    assert elements(page) < MOST_ELEMENTS


def test_of_a_large_tree_only_what_is_in_sight_is_drawn(opened):
    page = opened(many_trees(1, fanout=(100, 99)))  # 100 + 9900 nodes
    assert page.text("#count") == "1 tree of 1, 10,000 attempts"
    assert elements(page) < MOST_ELEMENTS
    page.go("#node=100.99")
    assert page.text("#details [data-part=Completion] pre") == "program 0.99.98"
    chosen = "document.querySelector('.node[aria-selected=true]').getBoundingClientRect().bottom"
    assert page.ask(f"{chosen} < innerHeight")
    assert elements(page) < MOST_ELEMENTS


def test_nodes_of_three_turns_stand_apart(opened):
    paths = [(i,) for i in range(3)] + [(i, j) for i in (0, 2) for j in range(4)]
    paths += [(0, j, k) for j in (1, 3) for k in range(30)]
    page = opened([node(path) for path in paths])
    script = """[340, 900].map((room) => layOut(trees[0], room).places.map(
        ({ node, x, y }) => [node, nodes.parent[node], x, y]))"""
    for places in page.ask(script):
        at = {place[0]: (place[2], place[3]) for place in places}
        assert len(at) == len(set(at.values())) == len(paths)
        for number, parent, x, y in places:
            column = 12 + 78 * (len(paths[number]) - 1)  # a cell and the gap to the next turn
            assert x == column or len(paths[number]) == 3
            if parent >= 0 and paths[number][-1] == 0:
                assert y == at[parent][1], "the first repair stands beside what it repairs"
    assert page.texts(".turn") == ["turn 1", "turn 2", "turn 3"]


def test_arrows_bring_late_turns_into_sight(opened):
    page = opened([node([0] * turn) for turn in range(1, 13)])
    for _ in range(11):
        page.press("\ue014")  # right
    assert page.where == ("1.1", ".".join("1" * 12))
    inside = """(([cell, box]) => cell.left >= box.left && cell.right <= box.right)(
        ['.node[aria-selected=true]', '#tree'].map(
            (name) => document.querySelector(name).getBoundingClientRect()))"""
    assert page.ask(inside)
    for _ in range(11):
        page.press("\ue012")  # left
    assert page.where == ("1.1", "1")
    assert page.ask(inside)


def test_only_1_is_shown_as_1(opened):
    page = opened([node([0], 299 / 300), node([1], 0.9999)])
    values = [1, 0.9967, 0.9999, -0.9999, 1.004, 123, 0.5]
    shown = ["1", "0.99", "0.99", "−0.99", "1", "123", "0.5"]
    assert page.ask("arguments[0].map((value) => shown(value, false, 2))", values) == shown


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_hangs_over_the_edge(opened, width):
    page = opened(many_trees(2))
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.go("")
    assert page.ask("innerWidth") == width
    assert page.ask("document.documentElement.scrollWidth") <= width
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
