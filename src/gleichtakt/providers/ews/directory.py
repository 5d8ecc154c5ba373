"""What the address book and a mailbox's folders tell: calendars with rights, people by name, rooms by their lists."""

from __future__ import annotations

from typing import Final

from gleichtakt.errors import Permanent
from gleichtakt.providers.ews.calls import ask, together
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import requests
from gleichtakt.providers.ews.wire.directory import read_resolutions, read_room_lists, read_rooms
from gleichtakt.providers.ews.wire.folders import Folder, read_folders, read_found
from gleichtakt.providers.ews.wire.ids import Distinguished
from gleichtakt.providers.protocol import Calendar, CalendarRef, Entry

NOBODY: Final = "ews.name_unknown"


class Directory:
    """Looks things up through one session."""

    def __init__(self, session: Session) -> None:
        """Ask through this session."""
        self.session = session

    def place(self, name: str, mailbox: str) -> Distinguished:
        """Give a folder everybody has, in a mailbox; only a delegate has to name whose."""
        return Distinguished(name, mailbox if self.session.login.access == "delegate" else "")

    # --- calendars

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox, the default one first. A delegate may see no more than that one."""
        first = await self.default(mailbox)
        others = [folder for folder in await self._below(mailbox) if folder.id != first.id and folder.is_calendar]
        listed = [_calendar(mailbox, first, is_default=True)]
        return (*listed, *(_calendar(mailbox, folder) for folder in sorted(others, key=lambda folder: folder.name)))

    async def default(self, mailbox: str) -> Folder:
        """Give the default calendar. Raises why it cannot be seen."""
        answer = await ask(self.session, "GetFolder", requests.get_folder([self.place("calendar", mailbox)]), mailbox)
        found = next(read_folders(answer), None)
        return found if found is not None else Folder("", "", "", can_read=False, can_create=False)

    async def _below(self, mailbox: str) -> list[Folder]:
        found: list[Folder] = []
        offset: int | None = 0
        while offset is not None:
            body = requests.find_folder(self.place("msgfolderroot", mailbox), offset=offset)
            try:
                answer = await ask(self.session, "FindFolder", body, mailbox)
            except Permanent:
                if self.session.login.access == "delegate":
                    return found  # who may see one folder may not look at the mailbox as a whole
                raise
            found += read_folders(answer)
            following = read_found(answer).next_offset
            offset = following if following is not None and following > offset else None
        return found

    # --- people and rooms

    async def look_up(self, text: str) -> tuple[Entry, ...]:
        """Find people by address or the beginning of a name; at most a hundred, as the server gives them."""
        try:
            answer = await ask(self.session, "ResolveNames", requests.resolve_names(text), "")
        except Permanent as trouble:
            if trouble.code != NOBODY:
                raise
            return ()
        return read_resolutions(answer)

    async def rooms(self) -> tuple[Entry, ...]:
        """Give the rooms of all room lists, each once. There is no operation for rooms that are in no list."""
        if not (await self.session.version()).knows("Exchange2010"):
            return ()
        lists = read_room_lists(await ask(self.session, "GetRoomLists", requests.get_room_lists(), ""))
        found = await together(self._rooms_in(entry) for entry in lists)
        return tuple({room.mailbox.lower(): room for rooms in found for room in rooms}.values())

    async def _rooms_in(self, room_list: Entry) -> tuple[Entry, ...]:
        answer = await ask(self.session, "GetRooms", requests.get_rooms(room_list.mailbox), "")
        return read_rooms(answer, room_list.name or room_list.mailbox)


def _calendar(mailbox: str, folder: Folder, *, is_default: bool = False) -> Calendar:
    """Show a folder; the default calendar is named by nothing, so that a link to it survives a move of the mailbox."""
    ref = CalendarRef(mailbox, "" if is_default else folder.id)
    return Calendar(ref, folder.name, folder.can_create, is_default, mailbox)
