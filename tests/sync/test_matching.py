"""First meeting of two full calendars: who is whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.sync.world import at, edited, single

from gleichtakt.model.event import Person
from gleichtakt.model.point import Zoned
from gleichtakt.sync.matching import Fingerprint, fingerprint, match


def look(key: str, title: str | None = "Termin", uid: str = "", day: int = 10, **more: str) -> Fingerprint:
    return Fingerprint(key, uid or key, at(day), at(day, 10), title=title, **more)


def test_dup_02_uid_first_then_looks_and_the_rest_stays_apart() -> None:
    found = match(
        [look("o1", uid="same"), look("o2", day=11), look("o3", day=12)],
        [look("t1", uid="same", day=20), look("t2", day=11), look("t3", day=13)],
    )
    assert found.pairs == (("o1", "t1"), ("o2", "t2"))
    assert found.ambiguous == ()
    assert dict(found.by) == {"marker": 0, "uid": 1, "looks": 1}


def test_our_mark_counts_before_everything() -> None:
    ours = [look("o1", uid="u", marker="m1"), look("o2", marker="m2")]
    theirs = [look("t1", uid="u"), look("t2", marker="m1", day=25)]
    assert match(ours, theirs).pairs == (("o1", "t2"), ("o2", "t1"))


def test_dup_06_a_mark_found_twice_proves_nothing() -> None:
    found = match([look("o1", marker="m", day=1)], [look("t1", marker="m", day=2), look("t2", marker="m", day=3)])
    assert found.pairs == ()


def test_dup_02_look_alikes_are_linked_only_if_unique_on_both_sides() -> None:
    found = match([look("o1"), look("o2")], [look("t1")])
    assert found.pairs == ()
    assert found.ambiguous == ((("o1", "o2"), ("t1",)),)


def test_dup_02_looks_are_the_same_however_a_rule_or_a_zone_is_written() -> None:
    berlin, vienna = at(3), Zoned(at(3).wall, "Europe/Vienna")
    for mine, yours in (
        ("FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;BYDAY=TU;COUNT=6"),
        ("FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=3"),
        ("", ""),
    ):
        ours = [
            Fingerprint("o", "", vienna, vienna, mine, "Termin"),
            Fingerprint("p", "", berlin, berlin, "FREQ=DAILY", "Termin"),
        ]
        theirs = [Fingerprint("t", "", berlin, berlin, yours, "Termin")]
        assert match(ours, theirs).pairs == (("o", "t"),)


def test_titles_and_organizers_tell_events_at_one_time_apart() -> None:
    ours = [look("o1", "Anna"), look("o2", "Berta"), look("o3", "Cora", organizer="c@x")]
    theirs = [look("t1", "Berta"), look("t2", "Anna"), look("t3", "Cora", organizer="d@x")]
    assert match(ours, theirs).pairs == (("o1", "t2"), ("o2", "t1"))


def test_a_title_that_is_not_shown_agrees_with_any_other() -> None:
    assert match([look("o1", None)], [look("t1", "Geheim")]).pairs == (("o1", "t1"),)


def test_a_fingerprint_levels_the_title_and_forgets_what_is_not_shown() -> None:
    series = edited(single("  Jour  Fixe "), organizer=Person("Chef@Example.org"))
    assert fingerprint(series, "k").title == "jour fixe"
    assert fingerprint(series, "k").organizer == "chef@example.org"
    hidden = fingerprint(series, "k", shows_title=False, shows_people=False)
    assert (hidden.title, hidden.organizer) == (None, None)


prints = st.lists(
    st.builds(look, st.uuids().map(str), st.sampled_from(["a", "b", None]), st.sampled_from(["", "u1", "u2"]), st.integers(1, 3)),
    max_size=8,
    unique_by=lambda item: item.key,
)


@given(prints, prints)
def test_each_event_is_matched_at_most_once_and_order_does_not_matter(ours: list[Fingerprint], theirs: list[Fingerprint]) -> None:
    found = match(ours, theirs)
    left, right = [mine for mine, _ in found.pairs], [yours for _, yours in found.pairs]
    assert len(set(left)) == len(left)
    assert len(set(right)) == len(right)
    unsure = {key for group, _ in found.ambiguous for key in group}
    assert not unsure & set(left)
    assert set(match(ours[::-1], theirs[::-1]).pairs) == set(found.pairs)
