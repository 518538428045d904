"""What is kept in memory: budgets, order of leaving, finished answers."""

import gc
import weakref
from collections import OrderedDict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from registry.workflows.memory import ENTRY_BYTES, Kept, Memory, Wire


def wire(size: int) -> Wire:
    return Wire(data=b"x" * size, date_at=0, second=0)


keys, sizes = st.sampled_from("abcde"), st.integers(0, 1500)


class Life(RuleBasedStateMachine):
    """A memory, and beside it what it must hold: keys and costs, least recently used first."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.gone: list[object] = []
        self.kept: dict[str, Kept] = {}  # the last of each key, kept or not
        self.costs: OrderedDict[str, int] = OrderedDict()
        self.left = 0
        self.memory: Memory[Kept] = Memory(budget=0, on_gone=self.gone.append)

    @initialize(budget=st.sampled_from([0, ENTRY_BYTES, 3000, 5000, 100_000]))
    def has_a_budget(self, budget: int) -> None:
        """So many bytes."""
        self.memory.budget = budget

    def use(self, key: str, more: int = 0) -> None:
        """It is used now and takes `more`; what was not used for longest goes."""
        self.costs[key] = self.costs.pop(key, 0) + more
        while sum(self.costs.values()) > self.memory.budget:
            self.costs.popitem(last=False)
            self.left += 1

    def leave(self, key: str) -> None:
        """It goes, if it is there."""
        self.left += self.costs.pop(key, None) is not None

    def room(self, key: str, size: int) -> bool:
        """Whether it is kept and could take so much."""
        return key in self.costs and self.costs[key] + size <= self.memory.budget

    @rule(key=keys, size=sizes)
    def keep(self, key: str, size: int) -> None:
        """Something new comes."""
        self.kept[key] = Kept(key=key, cost=size)
        self.memory.keep(self.kept[key])
        self.leave(key)
        if ENTRY_BYTES + size <= self.memory.budget:
            self.use(key, ENTRY_BYTES + size)

    @rule(key=keys)
    def find(self, key: str) -> None:
        """It is asked for."""
        assert self.memory.find(key) is (self.kept[key] if key in self.costs else None)
        if key in self.costs:
            self.use(key)

    @rule(key=keys)
    def touch(self, key: str) -> None:
        """It is used."""
        if key in self.kept:
            self.kept[key].touch()
        if key in self.costs:
            self.use(key)

    @rule(key=keys, size=sizes, look=st.binary(min_size=1, max_size=9))
    def hold(self, key: str, size: int, look: bytes) -> None:
        """An answer is made of it."""
        kept = self.kept.get(key)
        if kept is None or look in kept.wires:
            return
        fits = self.room(key, size + len(look))
        assert kept.hold(look, wire(size)) is fits
        if fits:
            self.use(key, size + len(look))

    @rule(key=keys, size=sizes)
    def grow(self, key: str, size: int) -> None:
        """It takes more."""
        if key in self.kept:
            fits = self.room(key, size)
            assert self.kept[key].grow(size) is fits
            if fits:
                self.use(key, size)

    @rule(key=keys, where=st.booleans())
    def drop(self, key: str, *, where: bool) -> None:
        """It is forgotten."""
        if where:
            self.memory.drop_where(key.__eq__)
        else:
            self.memory.drop(key)
        self.leave(key)

    @invariant()
    def is_as_expected(self) -> None:
        """The same is kept, in the same order, and its bytes are counted exactly."""
        memory = self.memory
        assert [(key, one.cost) for key, one in memory._kept.items()] == list(self.costs.items())
        assert memory.bytes == sum(self.costs.values()) <= memory.budget
        assert (len(memory), len(self.gone)) == (len(self.costs), self.left)
        for key, one in self.kept.items():
            assert (one.memory is memory) is (key in self.costs)
            assert all(answer.kept is one for answer in one.wires.values())


def test_a_memory_keeps_what_was_used_last() -> None:
    """Whatever is kept, used and dropped in whatever order, what is kept is what was used last and fits; its bytes are counted exactly."""
    run_state_machine_as_test(Life)


@pytest.mark.parametrize(("cost", "kept"), [(1000 - ENTRY_BYTES, True), (1000 - ENTRY_BYTES + 1, False)])
def test_what_is_too_large_is_not_kept_and_pushes_nobody_out(cost: int, *, kept: bool) -> None:
    """What just fits the budget is kept, in place of all else; what is one byte larger is not, and leaves all else where it is."""
    memory: Memory[Kept] = Memory(budget=1000)
    small, large = Kept(key="small", cost=10), Kept(key="large", cost=cost)
    memory.keep(small)
    memory.keep(large)
    assert (memory.find("large") is large, memory.find("small") is small) == (kept, not kept)


@pytest.mark.parametrize(("size", "held"), [(290, True), (291, False)])
def test_an_answer_that_does_not_fit_beside_what_it_is_made_of_is_not_held(size: int, *, held: bool) -> None:
    """An answer is held as long as both fit the budget; one byte more, and it is not, while what it was made of stays."""
    memory: Memory[Kept] = Memory(budget=ENTRY_BYTES + 400)
    kept, answer = Kept(key="a", cost=100), wire(size)
    memory.keep(kept)
    assert kept.hold(b"0123456789", answer) is held
    assert (memory.find("a") is kept, answer.kept is kept, len(kept.wires)) == (True, held, int(held))
    assert memory.bytes == ENTRY_BYTES + 100 + (10 + size if held else 0)


@pytest.mark.parametrize("how", ["drop", "drop where", "replacement", "budget"])
def test_answers_end_with_what_they_are_made_of(how: str) -> None:
    """However something leaves, each of its answers is empty from then on, for whoever has one in hand, and frees what it held."""
    memory: Memory[Kept] = Memory(budget=10_000)
    kept, answer = Kept(key="a", cost=100), wire(50)
    memory.keep(kept)
    assert kept.hold(b"look", answer)
    if how == "drop":
        memory.drop("a")
    elif how == "drop where":
        memory.drop_where(lambda key: key == "a")
    elif how == "replacement":
        memory.keep(Kept(key="a", cost=1))
    else:
        memory.keep(Kept(key="b", cost=9000))
    assert (answer.data, answer.kept, kept.memory, kept.wires) == (b"", None, None, {})
    alive = weakref.ref(kept)
    del kept
    gc.collect()
    assert alive() is None


def test_what_has_left_takes_nothing_in() -> None:
    """What is not kept any more holds no answer, grows by nothing and may be touched."""
    memory: Memory[Kept] = Memory(budget=10_000)
    kept = Kept(key="a", cost=100)
    memory.keep(kept)
    memory.drop("a")
    kept.touch()
    assert (kept.hold(b"look", wire(5)), kept.grow(5), kept.wires, memory.bytes) == (False, False, {}, 0)
    memory.drop("a")
    assert memory.bytes == 0


def test_one_that_was_replaced_does_not_touch_its_successor() -> None:
    """What was replaced under its key has no say in what is kept under it now."""
    memory: Memory[Kept] = Memory(budget=2 * ENTRY_BYTES + 250)
    old, new, other = Kept(key="a", cost=100), Kept(key="a", cost=100), Kept(key="b", cost=100)
    for one in (old, new, other):
        memory.keep(one)
    old.touch()
    assert not old.grow(1)
    memory.keep(Kept(key="c", cost=1))
    assert memory.find("a") is None
    assert memory.find("b") is other
