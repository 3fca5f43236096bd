"""How sentences are broken on a terminal: whole words, and nothing that a person copies in two."""

import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from desert_seg.console import Console
from desert_seg.wrapping import wrapped

SENTENCE = "there is no shipped model 'lihgt'; give the folder of an artifact, or one of: light, trail"


@given(st.text("ab/` \n", max_size=80), st.integers(1, 30))
def test_only_blanks_between_words_become_line_breaks(text, width):
    assert wrapped(text, width).split() == text.split()


@given(st.lists(st.text("ab/", min_size=1, max_size=10), min_size=1, max_size=20), st.integers(10, 30))
def test_lines_of_short_words_fit_and_take_all_that_fits(words, width):
    lines = wrapped(" ".join(words), width).split("\n")
    assert max(map(len, lines)) <= width
    for line, following in pairwise(lines):
        assert len(f"{line} {following.split()[0]}") > width


def test_what_stands_in_backquotes_or_is_one_path_is_never_broken():
    assert wrapped("run `desert-seg export --model a --out b`, then go on", 20).split("\n") == [
        "run",
        "`desert-seg export --model a --out b`,",
        "then go on",
    ]
    assert wrapped(f"  in {'/folder' * 9} it", 30).split("\n") == ["  in", "  " + "/folder" * 9, "  it"]


def terminal(width=40, is_terminal=True):
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)


def test_a_terminal_gets_lines_that_fit_and_a_pipe_one_line():
    for text in (SENTENCE, Text(SENTENCE)):
        screen, pipe = terminal(), terminal(is_terminal=False)
        screen.print(text)
        pipe.print(text)
        lines = screen.file.getvalue().splitlines()
        assert len(lines) == 3 and max(map(len, lines)) <= 40 and " ".join(lines) == SENTENCE
        assert pipe.file.getvalue() == SENTENCE + "\n"


def test_further_lines_begin_below_what_they_belong_to():
    screen = terminal()
    screen.print_hanging("disk    ", "free some, or work in another folder (--out, TMPDIR)")
    assert screen.file.getvalue().splitlines() == [
        "disk    free some, or work in another",
        "        folder (--out, TMPDIR)",
    ]


def test_a_command_to_be_copied_is_quoted_as_a_shell_takes_it_and_stays_whole():
    screen, pipe = terminal(20), terminal(20, is_terminal=False)
    for console in (screen, pipe):
        console.print_command("look at it and open it", "desert-seg", "view", "my drive/out.rrd")
    assert screen.file.getvalue() == "look at it and open\nit:\n  desert-seg view 'my drive/out.rrd'\n"
    assert pipe.file.getvalue() == "look at it and open it: desert-seg view 'my drive/out.rrd'\n"
