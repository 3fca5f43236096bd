"""Whatever comes from outside is read, or refused in a sentence: no traceback, no crash, no hang, no gigabytes.

A bounded campaign of the same attacks in every run; `make soak` makes thousands of new ones. Hypothesis keeps what
failed in .hypothesis and shows it in the fewest bytes; it belongs into the tests of its reader then.
"""

from __future__ import annotations

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

from readers import READERS, TREES, attack, whole

from desert_seg.errors import DesertSegError

FEW, MANY = 15, 3000
MEMORY_BYTES = 6 * 2**30


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Victim:
    """A process that is attacked, and replaced when it falls."""

    def __init__(self):
        self._pool = None

    def attack(self, reader, data):
        """Returns the sentence with which it refused, or None; raises whatever else it came to."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), limit_memory)
        try:
            self._pool.submit(attack, reader, data).result()
        except DesertSegError as error:
            return str(error)
        except BrokenProcessPool:  # it crashed, or computed for too long
            self.close()
            raise
        return None

    def close(self):
        if self._pool is not None:
            for process in self._pool._processes.values():
                process.kill()
            self._pool.shutdown()
            self._pool = None


@pytest.fixture(scope="module")
def victim():
    victim = Victim()
    yield victim
    victim.close()


HEAD = 300
"""Bytes at either end in which formats say what is where, and which are damaged more often."""

NUMBERS = [0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


@st.composite
def damaged(draw, examples):
    """An example with a few places overwritten, removed, filled or taken by another number, and perhaps cut short."""
    data = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(0, 4))):
        size, head = len(data), min(HEAD, len(data))
        start = draw(st.one_of(st.integers(0, head), st.integers(0, size), st.integers(size - head, size)))
        if draw(st.booleans()):
            width, order = draw(st.sampled_from([2, 4, 8])), draw(st.sampled_from(["little", "big"]))
            number = draw(st.sampled_from(NUMBERS)) % 256**width
            data[start : start + width] = number.to_bytes(width, order)
        else:
            data[start : start + draw(st.integers(0, 16))] = draw(st.binary(max_size=16))
    return bytes(data[: draw(st.one_of(st.none(), st.integers(0, len(data))))])


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
    max_leaves=8,
)


def places(tree):
    """Every container in the tree with each of its keys."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(inner):
        yield tree, key
        yield from places(value)


@st.composite
def with_another_value(draw, examples):
    """An example of YAML or JSON in which one value is another, or missing."""
    tree = yaml.safe_load(draw(st.sampled_from(examples)))
    container, key = draw(st.sampled_from(list(places(tree))))
    if draw(st.booleans()):
        container[key] = draw(VALUES)
    else:
        del container[key]
    return yaml.safe_dump(tree).encode(errors="replace")


@pytest.mark.parametrize("num_attacks", [FEW, pytest.param(MANY, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("reader", READERS)
def test_what_comes_from_outside_is_read_or_refused_in_a_sentence(victim, reader, num_attacks, record_property):
    if reader == "raw message":
        pytest.importorskip("rclpy")
    examples = whole(reader)
    attacks = damaged(examples)
    if reader in TREES:
        attacks = st.one_of(attacks, with_another_value(examples))
    made = 0

    @settings(max_examples=num_attacks, derandomize=num_attacks == FEW, suppress_health_check=list(HealthCheck))
    @given(attacks)
    def campaign(data):
        nonlocal made
        made += 1
        sentence = victim.attack(reader, data)
        assert sentence is None or ("\n" not in sentence and len(sentence) < 900), sentence

    for example in examples:
        assert victim.attack(reader, example) is None
    campaign()
    record_property("attacks", made)
