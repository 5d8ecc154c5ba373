"""Sentences about what a pass does and why: reasons of actions, of holds, of what is not mirrored, and of undo."""

from gleichtakt.errors import Sentence, sentence

_NOTHING_EN = "Nothing to do."
_NOTHING_DE = "Nichts zu tun."


def _why(en: str, de: str, remedy_en: str = _NOTHING_EN, remedy_de: str = _NOTHING_DE) -> Sentence:
    return sentence(en=en, de=de, remedy_en=remedy_en, remedy_de=remedy_de)


SENTENCES: dict[str, Sentence] = {
    # --- why an action
    "sync.created_here": _why(
        "New in the application.",
        "Neu in der Anwendung.",
    ),
    "sync.created_there": _why(
        "New in the calendar system.",
        "Neu im Kalendersystem.",
    ),
    "sync.changed_here": _why(
        "Changed in the application.",
        "In der Anwendung geändert.",
    ),
    "sync.changed_there": _why(
        "Changed in the calendar system.",
        "Im Kalendersystem geändert.",
    ),
    "sync.deleted_here": _why(
        "Deleted in the application.",
        "In der Anwendung gelöscht.",
    ),
    "sync.deleted_there": _why(
        "Deleted in the calendar system.",
        "Im Kalendersystem gelöscht.",
    ),
    "sync.in_step": _why(
        "Both sides say the same.",
        "Beide Seiten stimmen überein.",
    ),
    "sync.matched": _why(
        "The same event was found on both sides and linked.",
        "Derselbe Termin wurde auf beiden Seiten gefunden und verknüpft.",
    ),
    "sync.both_gone": _why(
        "Deleted on both sides.",
        "Auf beiden Seiten gelöscht.",
    ),
    "sync.recreated": _why(
        "The copy was deleted in the calendar system and is written again, because the event still stands.",
        "Die Kopie wurde im Kalendersystem gelöscht und wird neu geschrieben, weil der Termin weiterhin gilt.",
        "Delete the event in the application if it is not wanted, or set on_remote_delete differently.",
        "Den Termin in der Anwendung löschen, wenn er entfallen soll, oder on_remote_delete anders einstellen.",
    ),
    "sync.restored_there": _why(
        "Deleted in the application but edited in the calendar system; the edit counts, so it is back.",
        "In der Anwendung gelöscht, im Kalendersystem aber bearbeitet; die Bearbeitung zählt, also ist er wieder da.",
        "Delete it again if it is not wanted, or choose another conflict rule.",
        "Erneut löschen, wenn er entfallen soll, oder eine andere Konfliktregel wählen.",
    ),
    "sync.foreign_restored": _why(
        "The event belongs to the calendar system and may not be changed here; its state there is restored.",
        "Der Termin gehört dem Kalendersystem und darf hier nicht geändert werden; der dortige Stand gilt wieder.",
        "Change it in the calendar system, or allow it with app_writes_foreign.",
        "Im Kalendersystem ändern oder mit app_writes_foreign erlauben.",
    ),
    "sync.own_restored": _why(
        "The copy was changed in the calendar system, where it may not be; the application's state is restored.",
        "Die Kopie wurde im Kalendersystem geändert, wo sie nicht geändert werden darf; der Stand der Anwendung gilt wieder.",
        "Change the event in the application, or allow it with provider_writes_own.",
        "Den Termin in der Anwendung ändern oder mit provider_writes_own erlauben.",
    ),
    "sync.organizer_changed": _why(
        "Somebody else now organizes this meeting in the calendar system; it is no longer our copy and is taken over as theirs.",
        "Im Kalendersystem organisiert nun jemand anderes; die Kopie ist nicht mehr unsere und gilt als fremder Termin.",
        "Delete the event in the application if the meeting replaces it.",
        "Den Termin in der Anwendung löschen, wenn die Besprechung ihn ersetzt.",
    ),
    "sync.copy_gone": _why(
        "The copy was deleted in the calendar system; the event stays here without one.",
        "Die Kopie wurde im Kalendersystem gelöscht; der Termin bleibt hier ohne Kopie bestehen.",
    ),
    "sync.copy_kept": _why(
        "The copy stays where it is and is no longer kept in step.",
        "Die Kopie bleibt stehen und wird nicht mehr abgeglichen.",
    ),
    "sync.copy_edited": _why(
        "The copy was edited in the calendar system after the last run; it is somebody's own now and stays.",
        "Die Kopie wurde nach dem letzten Lauf im Kalendersystem bearbeitet; sie gehört nun jemandem und bleibt stehen.",
        "Delete it in the calendar system if it is not wanted.",
        "Im Kalendersystem löschen, wenn sie entfallen soll.",
    ),
    "sync.left_there": _why(
        "Deleted here; the event in the calendar system was not made by us and stays.",
        "Hier gelöscht; der Termin im Kalendersystem stammt nicht von uns und bleibt stehen.",
        "Delete it in the calendar system, or allow it with app_writes_foreign.",
        "Im Kalendersystem löschen oder mit app_writes_foreign erlauben.",
    ),
    "sync.switched_off": _why(
        "This direction was switched off, and the copy goes with it.",
        "Diese Richtung wurde abgeschaltet, und die Kopie entfällt mit ihr.",
    ),
    "sync.filtered": _why(
        "A filter no longer lets this event through; the copy is removed.",
        "Ein Filter lässt diesen Termin nicht mehr durch; die Kopie wird entfernt.",
        "Change event_kinds, or set remove_copy to keep such copies.",
        "event_kinds ändern oder mit remove_copy solche Kopien behalten.",
    ),
    "sync.private": _why(
        "The event has become private, and private events are not mirrored.",
        "Der Termin ist privat geworden, und private Termine werden nicht übernommen.",
        "Choose busy_private for private_events to keep the times.",
        "Für private_events busy_private wählen, um die Zeiten zu behalten.",
    ),
    "sync.undone": _why(
        "Undone together with its run.",
        "Zusammen mit dem Lauf rückgängig gemacht.",
    ),
    # --- why the other side gets no copy, or a rough one
    "sync.relay_off": _why(
        "Events from other linked calendars are not shown in this one.",
        "Termine aus anderen verknüpften Kalendern werden in diesem nicht gezeigt.",
        "Set relay to busy or full to show them.",
        "relay auf busy oder full stellen, um sie zu zeigen.",
    ),
    "sync.private_excluded": _why(
        "Private events are not written to this calendar.",
        "Private Termine werden nicht in diesen Kalender geschrieben.",
        "Choose private for outbound_private to show the times.",
        "Für outbound_private private wählen, um die Zeiten zu zeigen.",
    ),
    "sync.cancelled": _why(
        "The event is cancelled, and this calendar cannot say so; it has no copy there.",
        "Der Termin ist abgesagt, und dieser Kalender kann das nicht ausdrücken; er hat dort keine Kopie.",
    ),
    "sync.year_not_held": _why(
        "The calendar system cannot hold dates in that year; the event has no copy there.",
        "Das Kalendersystem kann Daten in diesem Jahr nicht speichern; der Termin hat dort keine Kopie.",
        "Check the date of the event.",
        "Das Datum des Termins prüfen.",
    ),
    "sync.rule_not_held": _why(
        "The calendar system cannot express this recurrence rule; the series has no copy there rather than a wrong one.",
        "Das Kalendersystem kann diese Wiederholungsregel nicht ausdrücken; die Serie hat dort keine Kopie statt einer falschen.",
        "Choose a simpler rule, or split the series.",
        "Eine einfachere Regel wählen oder die Serie teilen.",
    ),
    "sync.zone_not_held": _why(
        "The calendar system cannot hold the time zone of this series; it has no copy there rather than wrong hours.",
        "Das Kalendersystem kann die Zeitzone dieser Serie nicht speichern; sie hat dort keine Kopie statt falscher Uhrzeiten.",
        "Choose a named time zone such as Europe/Berlin.",
        "Eine benannte Zeitzone wie Europe/Berlin wählen.",
    ),
    "sync.degraded": _why(
        "The calendar system holds this event only roughly: its state, sensitivity or time zone is coarser there.",
        "Das Kalendersystem speichert diesen Termin nur gröber: Status, Vertraulichkeit oder Zeitzone sind dort ungenauer.",
        "Nothing to do: the finer values stay here and are not overwritten.",
        "Nichts zu tun: Die genaueren Werte bleiben hier und werden nicht überschrieben.",
    ),
    "sync.exploded": _why(
        "The calendar system cannot express this recurrence; its occurrences stand there as single events.",
        "Das Kalendersystem kann diese Wiederholung nicht ausdrücken; ihre Termine stehen dort einzeln.",
        "Nothing to do: a change on either side arrives on the other, and new occurrences follow day by day.",
        "Nichts zu tun: Änderungen kommen auf beiden Seiten an, und neue Termine folgen Tag für Tag.",
    ),
    "sync.parts_in_step": _why(
        "The single events of a series are completed: the window has moved on, or an interruption had left some out.",
        "Die einzelnen Termine einer Serie werden ergänzt: Das Fenster ist weitergerückt, oder eine Störung ließ welche aus.",
    ),
    "sync.whole_again": _why(
        "The calendar system can express this recurrence now; one series takes the place of the single events.",
        "Das Kalendersystem kann diese Wiederholung nun ausdrücken; eine Serie tritt an die Stelle der einzelnen Termine.",
    ),
    "sync.waits_inbound": _why(
        "Taking changes is stopped and the copy was changed in the calendar system; both sides wait.",
        "Das Übernehmen ist angehalten, und die Kopie wurde im Kalendersystem geändert; beide Seiten warten.",
        "Switch inbound_enabled on again.",
        "inbound_enabled wieder einschalten.",
    ),
    "sync.waits_stopped": _why(
        "The direction is stopped for now; the deletion waits.",
        "Die Richtung ist vorerst angehalten; die Löschung wartet.",
        "Switch inbound_enabled or outbound_enabled on again.",
        "inbound_enabled oder outbound_enabled wieder einschalten.",
    ),
    # --- why theirs is not mirrored
    "sync.reason_outside": _why(
        "The event lies outside the mirrored period.",
        "Der Termin liegt außerhalb des abgeglichenen Zeitraums.",
        "Widen window_back_days or window_ahead_days.",
        "window_back_days oder window_ahead_days vergrößern.",
    ),
    "sync.reason_filtered": _why(
        "A filter does not let the event through.",
        "Ein Filter lässt den Termin nicht durch.",
        "Change event_kinds or all_day.",
        "event_kinds oder all_day ändern.",
    ),
    "sync.reason_private": _why(
        "The event is private, and private events are not mirrored.",
        "Der Termin ist privat, und private Termine werden nicht übernommen.",
        "Choose busy_private for private_events.",
        "Für private_events busy_private wählen.",
    ),
    "sync.reason_unreadable": _why(
        "The event could not be read; it is neither copied nor deleted.",
        "Der Termin konnte nicht gelesen werden; er wird weder kopiert noch gelöscht.",
        "Correct it at its source; it is read again by itself.",
        "An der Quelle berichtigen; er wird von selbst neu gelesen.",
    ),
    "sync.reason_mirror": _why(
        "The event is a copy made by another sync product; copies of copies are not made.",
        "Der Termin ist die Kopie eines anderen Abgleichprodukts; Kopien von Kopien gibt es nicht.",
        "Link the original calendar instead.",
        "Stattdessen den Originalkalender verknüpfen.",
    ),
    "sync.reason_mark": _why(
        "The event carries our mark but is not the copy we made, so it counts as an event of its own.",
        "Der Termin trägt unsere Marke, ist aber nicht die von uns angelegte Kopie; er gilt als eigener Termin.",
    ),
    # --- why an action waits
    "sync.hold_mass_delete": _why(
        "{count} deletions are more than this link deletes unasked.",
        "{count} Löschungen sind mehr, als diese Verknüpfung ohne Rückfrage löscht.",
        "Approve if they are meant; reject to bring back what is missing.",
        "Freigeben, wenn sie gewollt sind; ablehnen, um das Fehlende wiederherzustellen.",
    ),
    "sync.hold_mass_update": _why(
        "{count} changes are more than this link makes unasked.",
        "{count} Änderungen sind mehr, als diese Verknüpfung ohne Rückfrage vornimmt.",
        "Approve if they are meant; reject to restore the former state.",
        "Freigeben, wenn sie gewollt sind; ablehnen, um den früheren Stand wiederherzustellen.",
    ),
    "sync.hold_side_empty": _why(
        "One side would be left without any event.",
        "Eine Seite stünde danach ganz ohne Termine da.",
        "Check whether the right calendar is linked; approve only if it was emptied on purpose.",
        "Prüfen, ob der richtige Kalender verknüpft ist; nur freigeben, wenn er absichtlich geleert wurde.",
    ),
    "sync.hold_remote_delete": _why(
        "A booking was deleted in the calendar system.",
        "Eine Buchung wurde im Kalendersystem gelöscht.",
        "Approve to cancel the booking; reject to write its copy again.",
        "Freigeben, um die Buchung zu stornieren; ablehnen, um die Kopie neu zu schreiben.",
    ),
    "sync.hold_remote_update": _why(
        "A booking was changed in the calendar system.",
        "Eine Buchung wurde im Kalendersystem geändert.",
        "Approve to take the change; reject to set it back there.",
        "Freigeben, um die Änderung zu übernehmen; ablehnen, um sie dort zurückzunehmen.",
    ),
    "sync.hold_ambiguous_match": _why(
        "Several events look the same on both sides; which belong together is not certain.",
        "Mehrere Termine sehen auf beiden Seiten gleich aus; welche zusammengehören, ist nicht sicher.",
        "Choose the pairs, or approve to keep all of them as separate events.",
        "Die Paare wählen oder freigeben, um alle als eigene Termine zu behalten.",
    ),
    "sync.hold_mails": _why(
        "{count} people would be notified, more than this link notifies unasked.",
        "{count} Personen würden benachrichtigt, mehr als diese Verknüpfung ohne Rückfrage anschreibt.",
        "Approve to send, or set notify to none.",
        "Freigeben, um zu senden, oder notify auf none stellen.",
    ),
    "sync.hold_on_disable": _why(
        "A direction was switched off; what becomes of the copies is open.",
        "Eine Richtung wurde abgeschaltet; was aus den Kopien wird, ist offen.",
        "Approve to delete the copies; reject to leave them.",
        "Freigeben, um die Kopien zu löschen; ablehnen, um sie stehen zu lassen.",
    ),
    "sync.ambiguous_match": _why(
        "This event looks like others; which of them it belongs to is not certain.",
        "Dieser Termin gleicht anderen; zu welchem er gehört, ist nicht sicher.",
        "Choose the pairs, or approve to keep all of them as separate events.",
        "Die Paare wählen oder freigeben, um alle als eigene Termine zu behalten.",
    ),
    "sync.internal_error": _why(
        "An error of this server stopped the pass; nothing was lost.",
        "Ein Fehler dieses Servers hat den Durchlauf abgebrochen; verloren ging nichts.",
        "It is tried again by itself; if it stays so, report it with the log of that time.",
        "Der Versuch wird von selbst wiederholt; bleibt es dabei, bitte mit dem Protokoll dieser Zeit melden.",
    ),
    "sync.loop": _why(
        "This event was written {writes} times within an hour and changed by somebody else each time; "
        "it looks like a loop with another program, so it rests until {until}.",
        "Dieser Termin wurde innerhalb einer Stunde {writes}-mal geschrieben und jedes Mal von anderer Seite geändert; "
        "das sieht nach einer Schleife mit einem anderen Programm aus, deshalb ruht er bis {until}.",
        "Find what else changes it (another sync product, a rule, an add-in) and stop that; then try again.",
        "Herausfinden, was ihn sonst noch ändert (ein anderes Abgleichprodukt, eine Regel, ein Add-in), und es abstellen; "
        "danach erneut versuchen.",
    ),
    "sync.listing_cut": _why(
        "The calendar system ended its list early; what it did not name was left as it is.",
        "Das Kalendersystem hat seine Liste vorzeitig beendet; was es nicht genannt hat, blieb unverändert.",
        "It is asked again by itself; if it stays so, examine the connection and ask whoever runs the calendar system.",
        "Die Abfrage wird von selbst wiederholt; bleibt es dabei, die Verbindung prüfen und den Betreiber des "
        "Kalendersystems fragen.",
    ),
    "sync.stale": _why(
        "Both sides were last known to be in step at {since}.",
        "Dass beide Seiten übereinstimmen, war zuletzt bekannt um {since}.",
        "Check that a worker runs and the calendar system answers; then sync this calendar now.",
        "Prüfen, ob ein Worker läuft und das Kalendersystem antwortet; danach diesen Kalender jetzt abgleichen.",
    ),
    "sync.clash": _why(
        "The same field was changed on both sides.",
        "Dasselbe Feld wurde auf beiden Seiten geändert.",
        "Choose the version that counts.",
        "Die Fassung wählen, die gelten soll.",
    ),
    "sync.clash_deletion": _why(
        "Changed on one side, deleted on the other.",
        "Auf einer Seite geändert, auf der anderen gelöscht.",
        "Choose whether the event stays.",
        "Wählen, ob der Termin bleibt.",
    ),
    # --- undo
    "sync.undo_not_stored": _why(
        "The original was never stored here in full, so it cannot be brought back.",
        "Das Original war hier nie vollständig gespeichert und kann nicht wiederhergestellt werden.",
        "Restore it in the calendar system, for instance from its bin.",
        "Im Kalendersystem wiederherstellen, etwa aus dessen Papierkorb.",
    ),
    "sync.undo_gone": _why(
        "The event no longer exists and cannot be set back.",
        "Der Termin existiert nicht mehr und kann nicht zurückgesetzt werden.",
    ),
    "sync.undo_edited_since": _why(
        "The event was edited after the run and therefore stays.",
        "Der Termin wurde nach dem Lauf bearbeitet und bleibt deshalb bestehen.",
        "Delete it by hand if it is not wanted.",
        "Von Hand löschen, wenn er nicht gewollt ist.",
    ),
}
