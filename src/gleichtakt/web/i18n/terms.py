"""What the words in the tables are called on the pages: states with their glyph and tone, sides, verbs, fields.

Tables only. Texts are English here and translated where they are shown. A word that is not listed is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gleichtakt.web.i18n import N_


@dataclass(frozen=True, slots=True)
class Term:
    """How a state is shown: `glyph` names a drawing in `_marks.html`, `tone` a colour; neither stands alone."""

    label: str
    glyph: str = "dot"
    tone: str = "plain"  # good | plain | busy | warn | bad | off
    hint: str = ""  # what it means and what follows, where no sentence of `errors` says so


CONDITIONS: Mapping[str, Term] = {
    "in_step": Term(N_("In step"), "in-step", "good", N_("Both sides agree. The next comparison comes by itself.")),
    "new": Term(N_("About to start"), "waiting", "busy", N_("The first comparison has not begun yet. It starts by itself.")),
    "listing": Term(N_("Reading"), "reading", "busy", N_("The calendar is being read in full. Nothing is deleted meanwhile.")),
    "throttled": Term(
        N_("Asked to wait"), "waiting", "plain", N_("The calendar system asked for a pause. It goes on by itself.")
    ),
    "verify": Term(
        N_("Only comparing"),
        "dry",
        "warn",
        N_("Nothing is written until an administrator has looked at the plan and allows writing again."),
    ),
    "waiting": Term(N_("Waits for you"), "held", "warn", N_("Some changes wait for a decision. Everything else goes on.")),
    "late": Term(N_("Late"), "shifted", "warn", N_("The next run is overdue. Check that a worker is running.")),
    "degraded": Term(
        N_("In step, with exceptions"),
        "shifted",
        "warn",
        N_("Some events could not be copied. Each stands among the problems with what helps; everything else is in step."),
    ),
    "failing": Term(N_("Delayed"), "shifted", "warn", N_("The last run did not succeed. It is tried again by itself.")),
    "error": Term(N_("Stopped"), "broken", "bad", N_("It is tried again only now and then. See the problems for what helps.")),
    "auth_required": Term(
        N_("Sign-in refused"), "locked", "bad", N_("Renew user name and password of the connection. Until then nothing is tried.")
    ),
    "paused": Term(N_("Paused"), "paused", "off", N_("Nothing is read or written until it is resumed. Nothing is lost.")),
    "disconnected": Term(
        N_("Disconnected"),
        "off",
        "off",
        N_("The link has ended. What was agreed is kept for a while; linking the same calendar again goes on from there."),
    ),
}

CONNECTION_STATES: Mapping[str, Term] = {
    "new": Term(
        N_("Not tried yet"), "waiting", "busy", N_("It is tried as soon as a calendar is linked; the check-up tries it now.")
    ),
    "online": Term(N_("Online"), "in-step", "good", N_("The calendar system answers.")),
    "degraded": Term(N_("Impaired"), "shifted", "warn", N_("The calendar system asked for less. It goes on by itself.")),
    "offline": Term(N_("Unreachable"), "broken", "bad", N_("It is tried again by itself. The check-up says where it stops.")),
    "auth_required": Term(N_("Sign-in refused"), "locked", "bad", N_("Renew user name and password of the connection.")),
    "paused": Term(N_("Paused"), "paused", "off", N_("All its calendars rest until it is resumed through the API.")),
}

#: How changes in a calendar reach us, where we are told of them: link.notified_by.
NOTICES: Mapping[str, str] = {
    "streaming": N_("The calendar system tells of changes at once, over a connection held open."),
    "push": N_("The calendar system tells of changes by calling this server."),
    "pull": N_("The calendar system keeps a list of changes, which is asked for every few seconds."),
}
NOTICE_NAMES: Mapping[str, str] = {
    "streaming": N_("streaming"),
    "push": N_("calls"),
    "pull": N_("asking for a list"),
    "polling": N_("comparing by the clock"),
}

#: Whether somebody is away, as their mailbox says.
ABSENCES: Mapping[str, str] = {"away": N_("Away"), "present": N_("Not away"), "unknown": N_("Absence unknown")}

RUN_STATES: Mapping[str, Term] = {
    "queued": Term(N_("Queued"), "waiting", "busy"),
    "running": Term(N_("Running"), "reading", "busy"),
    "done": Term(N_("Done"), "in-step", "good"),
    "partial": Term(N_("Partly done"), "shifted", "warn"),
    "failed": Term(N_("Failed"), "broken", "bad"),
}

RUN_KINDS: Mapping[str, str] = {
    "sync": N_("Sync"),
    "plan": N_("Dry run"),
    "undo": N_("Undo"),
    "match": N_("Matching"),
    "doctor": N_("Check-up"),
}

SIDES: Mapping[str, str] = {"app": N_("Application"), "provider": N_("Calendar")}

VERBS: Mapping[str, str] = {
    "create": N_("create"),
    "update": N_("change"),
    "delete": N_("delete"),
    "link": N_("match"),
    "unlink": N_("release"),
}

VERBS_DONE: Mapping[str, str] = {
    "create": N_("created"),
    "update": N_("changed"),
    "delete": N_("deleted"),
    "link": N_("matched"),
    "unlink": N_("released"),
}

ACTION_STATES: Mapping[str, Term] = {
    "planned": Term(N_("planned"), "waiting", "plain"),
    "approved": Term(N_("approved"), "in-step", "plain"),
    "held": Term(N_("held back"), "held", "warn"),
    "done": Term(N_("done"), "in-step", "good"),
    "failed": Term(N_("failed"), "broken", "bad"),
    "skipped": Term(N_("skipped"), "off", "off"),
}

#: What a hold is about, what approving does, what rejecting does.
HOLDS: Mapping[str, tuple[str, str, str, str]] = {
    "mass_delete": (
        N_("Unusually many deletions"),
        N_("One run would delete more of this calendar than looks like an everyday change."),
        N_("The events are deleted as planned."),
        N_("The events stay, and what went missing on the other side is brought back."),
    ),
    "mass_update": (
        N_("Unusually many changes"),
        N_("One run would change more of this calendar than looks like an everyday change."),
        N_("The changes are made as planned."),
        N_("The changes are not made, and the other side is set back to how it was."),
    ),
    "side_empty": (
        N_("One side is suddenly empty"),
        N_("All events are gone on one side. That happens by accident more often than on purpose."),
        N_("The other side is emptied as well."),
        N_("The events stay, and the empty side is filled again."),
    ),
    "remote_delete": (
        N_("A booking was deleted in the calendar"),
        N_("Someone deleted a booking of the application in their calendar. Until you decide, it stays booked."),
        N_("The booking is cancelled in the application."),
        N_("The booking stays, and its copy is put back into the calendar."),
    ),
    "remote_update": (
        N_("A booking was changed in the calendar"),
        N_(
            "Someone changed a booking of the application in their calendar. Until you decide, the application keeps its version."
        ),
        N_("The change is taken into the application."),
        N_("The change is taken back in the calendar."),
    ),
    "ambiguous_match": (
        N_("More than one event could be the same"),
        N_("Several events look alike, so they were not matched by themselves."),
        N_("The events are treated as different ones and copied."),
        N_("Nothing is copied."),
    ),
    "mails": (
        N_("Invitations would be sent"),
        N_("The calendar system would send mail to people outside when this is written."),
        N_("It is written, and the mails go out."),
        N_("It is not written, and nobody gets a mail."),
    ),
    "on_disable": (
        N_("A direction was switched off"),
        N_("Copies made so far can be kept or removed."),
        N_("The copies made by us are removed."),
        N_("The copies stay where they are."),
    ),
}

#: What remains possible after approving.
UNDO_LATER = N_("It can be taken back afterwards: the page of the run that did it has an undo.")
NO_UNDO: Mapping[str, str] = {"mails": N_("Mails that went out cannot be called back.")}

HOLD_STATES: Mapping[str, Term] = {
    "open": Term(N_("Waits for a decision"), "held", "warn"),
    "approved": Term(N_("Approved"), "in-step", "good"),
    "rejected": Term(N_("Rejected"), "off", "off"),
    "resolved": Term(N_("No longer needed"), "off", "off"),
}

RESOLUTIONS: Mapping[str, str] = {
    "ours": N_("Application's version kept"),
    "theirs": N_("Calendar's version kept"),
    "merged": N_("Merged field by field"),
    "app_first": N_("Application first, by rule"),
    "provider_first": N_("Calendar first, by rule"),
    "newest": N_("Newest version, by rule"),
}

FIELDS: Mapping[str, str] = {
    "title": N_("Title"),
    "start": N_("Start"),
    "end": N_("End"),
    "location": N_("Place"),
    "show_as": N_("Shown as"),
    "status": N_("Status"),
    "description": N_("Description"),
    "html": N_("Description"),
    "sensitivity": N_("Privacy"),
    "organizer": N_("Organiser"),
    "attendees": N_("People"),
    "categories": N_("Categories"),
    "reminders": N_("Reminders"),
    "conference_url": N_("Online meeting"),
    "url": N_("Link"),
    "recurrence": N_("Repetition"),
    "rrule": N_("Repetition"),
    "rdate": N_("Extra dates"),
    "exdate": N_("Left-out dates"),
    "overrides": N_("Single occurrences"),
    "uid": N_("Identifier"),
}

VALUES: Mapping[str, Mapping[str, str]] = {
    "show_as": {
        "free": N_("Free"),
        "tentative": N_("Tentative"),
        "busy": N_("Busy"),
        "oof": N_("Away"),
        "working_elsewhere": N_("Working elsewhere"),
    },
    "sensitivity": {
        "normal": N_("Normal"),
        "personal": N_("Personal"),
        "private": N_("Private"),
        "confidential": N_("Confidential"),
    },
    "status": {"confirmed": N_("Confirmed"), "tentative": N_("Tentative"), "cancelled": N_("Cancelled")},
}

#: Which way a link goes: the sign between its ends, and in words.
WAYS: Mapping[str, tuple[str, str]] = {
    "two_way": ("⇄", N_("both ways")),
    "outbound": ("→", N_("only from the application to the calendar")),
    "inbound": ("←", N_("only from the calendar to the application")),
    "off": ("|", N_("switched off in both directions")),
}
OUTWARD: Mapping[str, str] = {
    "busy": N_("Bookings of the application go to the calendar as busy time, without content."),
    "title_time": N_("Bookings of the application go to the calendar with title and time."),
    "full": N_("Bookings of the application go to the calendar with everything it can hold."),
    "chosen": N_("Bookings of the application go to the calendar with their time and chosen fields."),
    "off": N_("Nothing goes to the calendar."),
}
INWARD: Mapping[str, str] = {
    "busy": N_("Events of the calendar come into the application as busy time, without content."),
    "title_time": N_("Events of the calendar come into the application with title and time."),
    "full": N_("Events of the calendar come into the application with everything they hold."),
    "chosen": N_("Events of the calendar come into the application with their time and chosen fields."),
    "off": N_("Nothing comes from the calendar."),
}

#: Why an event of the calendar is not mirrored.
LEFT_OUT: Mapping[str, str] = {
    "outside": N_("outside the mirrored days"),
    "filtered": N_("left out by a rule"),
    "private": N_("private"),
    "unreadable": N_("not readable"),
    "mirror": N_("copies from elsewhere"),
    "mark": N_("carry our mark, but are not our copies"),
}

#: Why an installation only compares.
VERIFYING: Mapping[str, str] = {
    "restored": N_("It was restored from a backup."),
    "copied": N_("Its database is a copy of another one."),
    "moved": N_("Its data folder came to another machine."),
    "rolled_back": N_("Its database was set back to an earlier state."),
}

AUTH_METHODS: Mapping[str, str] = {
    "none": N_("no sign-in"),
    "basic": N_("user name and password (Basic)"),
    "digest": N_("user name and password (Digest)"),
    "bearer": N_("token"),
    "ntlm": N_("Windows account (NTLM)"),
    "negotiate": N_("Windows account (Negotiate)"),
    "oauth_app": N_("registered application (OAuth)"),
    "oauth_user": N_("consent of a person (OAuth)"),
    "service_account": N_("service account"),
}
ACCESS: Mapping[str, str] = {
    "own": N_("the account’s own calendars"),
    "delegate": N_("calendars shared with the account"),
    "impersonation": N_("any mailbox, by impersonation"),
}
ROLES: Mapping[str, str] = {
    "admin": N_("administrator"),
    "operator": N_("operator"),
    "dpo": N_("data protection"),
    "viewer": N_("may look, but not change"),
}

PROVIDERS: Mapping[str, str] = {
    "ews": N_("Exchange Server"),
    "graph": N_("Microsoft 365"),
    "google": N_("Google Workspace"),
    "caldav": N_("CalDAV"),
    "feed": N_("Calendar feed"),
    "memory": N_("Simulated calendar"),
}

KINDS: Mapping[str, str] = {"person": N_("Person"), "room": N_("Room"), "equipment": N_("Equipment")}
KINDS_MANY: Mapping[str, str] = {"person": N_("People"), "room": N_("Rooms"), "equipment": N_("Equipment")}

#: What a run under way tells of itself.
PROGRESS: Mapping[str, str] = {"read": N_("read"), "done": N_("done"), "planned": N_("planned"), "total": N_("in total")}

#: Who acts on a kind of problem, and when.
PROBLEM_KINDS: Mapping[str, Term] = {
    "transient": Term(N_("Tried again by itself"), "waiting", "plain"),
    "throttled": Term(N_("Goes on after the pause"), "waiting", "plain"),
    "conflict": Term(N_("Compared again by itself"), "waiting", "plain"),
    "auth_required": Term(N_("Needs a new sign-in"), "locked", "bad"),
    "permanent": Term(N_("Rests until something changes"), "broken", "warn"),
    "notice": Term(N_("For information"), "plain", "plain"),
}

SCOPES: Mapping[str, str] = {
    "series": N_("one event; the rest goes on"),
    "calendar": N_("the whole calendar; the others go on"),
    "account": N_("the whole connection"),
}

#: What is told after something was asked for.
SAID: Mapping[str, str] = {
    "sync": N_("A run was asked for. It shows up here as soon as it begins."),
    "plan": N_("A dry run was asked for. Its plan shows up here; nothing is written."),
    "paused": N_("Paused. What happens meanwhile is compared when it is resumed."),
    "resumed": N_("Resumed. Both sides are compared now."),
    "undo": N_("The undo was asked for. It goes through the same guards as any other run."),
    "retry": N_("It is tried again now."),
    "ignored": N_("Ignored. It is listed again only if it happens anew."),
    "approved": N_("Approved. Exactly these actions are carried out in the next run."),
    "rejected": N_("Rejected. The next run puts things back."),
    "resolved": N_("Decided. Both sides get the chosen version in the next run."),
    "doctor": N_("The check-up was asked for. Its findings show up here."),
    "writing": N_("Writing is allowed again. All calendars are compared now."),
    "password": N_("The password was changed. All other sessions have ended."),
}

DOCTOR_RESULTS: Mapping[str, Term] = {
    "pass": Term(N_("Fine"), "in-step", "good"),
    "warn": Term(N_("Take note"), "shifted", "warn"),
    "fail": Term(N_("Fails"), "broken", "bad"),
    "skip": Term(N_("Not checked"), "off", "off"),
}


def place_of(field: str) -> int:
    """Say where a field stands when several are named: as in `FIELDS`, unknown ones last."""
    return list(FIELDS).index(field) if field in FIELDS else len(FIELDS)


def term(table: Mapping[str, Term], word: str) -> Term:
    """Give how a state is shown, as itself when it is unknown."""
    return table.get(word, Term(word))
