"""Undoing a run: what it did is taken back, what people did since stays, what cannot be brought back is said."""

from __future__ import annotations

from tests.sync.world import at, edited, excluded, single, weekly

from gleichtakt.sync.plan import Side, Verb
from gleichtakt.sync.undo import Entry, reverse

A, B, C = single("a"), single("b"), single("c")


def entry(verb: Verb, place: str = "h1", **more: object) -> Entry:
    return Entry(Side.PROVIDER, place, verb, "u1", **more)  # type: ignore[arg-type]


def test_an_update_is_set_back() -> None:
    ((place, action),) = reverse([entry(Verb.UPDATE, before=A, after=B, now=B)]).actions
    assert (place, action.verb, action.series, action.fields) == ("h1", Verb.UPDATE, A, {"title"})


def test_an_edit_made_since_stays() -> None:
    now = edited(B, location="seither")
    ((_, action),) = reverse([entry(Verb.UPDATE, before=A, after=B, now=now)]).actions
    assert action.series == edited(A, location="seither")
    assert reverse([entry(Verb.UPDATE, before=A, after=B, now=C)]).actions == ()  # the same field was edited again


def test_what_a_run_made_goes_unless_somebody_edited_it() -> None:
    ((_, action),) = reverse([entry(Verb.CREATE, after=A, now=A)]).actions
    assert action.verb is Verb.DELETE
    assert reverse([entry(Verb.CREATE, after=A, now=B)]).lost == (("h1", "sync.undo_edited_since"),)
    assert reverse([entry(Verb.CREATE, after=A, now=None)]).actions == ()


def test_what_a_run_deleted_comes_back_if_it_was_ever_stored() -> None:
    ((_, action),) = reverse([entry(Verb.DELETE, before=A)]).actions
    assert (action.verb, action.series) == (Verb.CREATE, A)
    assert reverse([entry(Verb.DELETE)]).lost == (("h1", "sync.undo_not_stored"),)
    assert reverse([entry(Verb.DELETE, before=A, is_partial=True)]).lost == (("h1", "sync.undo_not_stored"),)


def test_several_writes_at_one_place_are_one_and_the_last_place_comes_first() -> None:
    found = reverse(
        [
            entry(Verb.UPDATE, "h1", before=A, after=B, now=C),
            entry(Verb.CREATE, "h2", after=A, now=A),
            entry(Verb.UPDATE, "h1", before=B, after=C, now=C),
        ]
    )
    assert [(place, action.verb) for place, action in found.actions] == [("h1", Verb.UPDATE), ("h2", Verb.DELETE)]
    assert found.actions[0][1].series == A


def test_deleted_occurrences_come_back() -> None:
    before, after = weekly(), excluded(weekly(), at(10))
    ((_, action),) = reverse([entry(Verb.UPDATE, before=before, after=after, now=after)]).actions
    assert (action.series, action.fields) == (before, {"recurrence"})


def test_linking_leaves_nothing_to_undo() -> None:
    assert reverse([entry(Verb.LINK, now=A)]).actions == ()
