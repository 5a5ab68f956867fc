"""What is kept of things that never change stays within its bound."""

from __future__ import annotations

from integrations.memory import Memory


def test_what_was_not_used_for_longest_makes_room() -> None:
    memory: Memory[str] = Memory(30)
    for name in ("a", "b", "c"):
        memory.keep(name, name.upper(), 10)
    assert memory.get("a") == "A"
    memory.keep("d", "D", 10)
    assert [memory.get(name) for name in ("a", "b", "c", "d")] == ["A", None, "C", "D"]


def test_what_is_larger_than_the_memory_drives_nothing_out() -> None:
    memory: Memory[str] = Memory(30)
    memory.keep("small", "S", 10)
    memory.keep("large", "L", 31)
    assert memory.get("small") == "S"
    assert memory.get("large") is None


def test_what_is_kept_twice_counts_once() -> None:
    memory: Memory[str] = Memory(20)
    memory.keep("a", "A", 10)
    for _ in range(5):
        memory.keep("b", "B", 10)
    assert (memory.get("a"), memory.get("b")) == ("A", "B")
