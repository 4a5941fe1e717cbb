"""A run writes its own section of docs/performance.md, and leaves the others."""

from __future__ import annotations

from bench.measure import Figure
from bench.page import PAGE, Section, render
from bench.sections import SECTIONS

ONE = Section("one", "The first", "\n- What it is.\n")
TWO = Section("two", "The second", "\n- What that is.\n")
FIGURE = Figure("`sleep`", "nothing", "s", [2.0, 2.0], [1.0, 1.0], 3)


def test_a_section_says_how_it_was_made() -> None:
    assert ONE.render([FIGURE], "this computer") == (
        "## The first\n\n"
        "Written by `make bench ARGS='--only one'`, of 2 turns, on\nthis computer.\n\n"
        "| figure | banger | floor | what the floor is | ratio | reach | met |\n"
        "|---|---|---|---|---|---|---|\n"
        "| `sleep` | 2.0 s | 1.0 s | nothing | 2.00 | 3 | yes |\n\n"
        "- What it is."
    )


def test_sections_are_kept_in_the_order_of_the_page_whatever_is_measured_first() -> None:
    second = TWO.render([FIGURE], "there")
    page = render("# Old\n\nOld head.\n\n## Gone\n\nrow\n", (ONE, TWO), "two", second)
    assert page.endswith(f"\n\n{second}\n")
    assert "Not measured yet: `make bench ARGS='--only one'`." in page
    assert "Old" not in page
    assert "Gone" not in page
    first = ONE.render([FIGURE], "here")
    whole = render(page, (ONE, TWO), "one", first)
    assert whole.endswith(f"\n\n{first}\n\n{second}\n")
    assert render(whole, (ONE, TWO), "one", first) == whole


def test_the_page_has_every_section_and_nothing_that_no_run_writes() -> None:
    page = PAGE.read_text()
    for section in SECTIONS:
        written = section.heading + page.partition(section.heading)[2].partition("\n\n## ")[0].rstrip()
        assert written.endswith(section.notes.rstrip()), section.name
        page = render(page, SECTIONS, section.name, written)
    assert page == PAGE.read_text()
