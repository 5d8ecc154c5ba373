"""Sentences about Exchange servers."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    # --- the way to the server
    "ews.exchange_online": sentence(
        en="{host} is Exchange Online, which does not serve EWS any more.",
        de="{host} ist Exchange Online; dort wird EWS nicht mehr angeboten.",
        remedy_en="Create a connection of the kind Microsoft 365 (Graph); links keep their events when they move there.",
        remedy_de="Eine Verbindung der Art Microsoft 365 (Graph) anlegen; Verknüpfungen behalten beim Umzug ihre Termine.",
    ),
    "ews.not_discovered": sentence(
        en="Autodiscover finds no Exchange server for {domain}.",
        de="Autodiscover findet für {domain} keinen Exchange-Server.",
        remedy_en="Enter the server itself, such as https://mail.{domain}/EWS/Exchange.asmx;"
        " `Get-WebServicesVirtualDirectory | fl ExternalUrl,InternalUrl` shows the address.",
        remedy_de="Den Server selbst eintragen, etwa https://mail.{domain}/EWS/Exchange.asmx;"
        " `Get-WebServicesVirtualDirectory | fl ExternalUrl,InternalUrl` zeigt die Adresse.",
    ),
    "ews.no_address": sentence(
        en="The connection names neither a server nor an address to look one up for.",
        de="Die Verbindung nennt weder einen Server noch eine Adresse, zu der einer zu suchen wäre.",
        remedy_en="Enter the server's name, or a mail address of the firm for Autodiscover.",
        remedy_de="Den Namen des Servers eintragen, oder eine Mailadresse der Firma für Autodiscover.",
    ),
    "ews.not_ews": sentence(
        en="What answers at {host} is no Exchange web service ({reason}).",
        de="Was bei {host} antwortet, ist kein Exchange-Webdienst ({reason}).",
        remedy_en="Check the address: it usually ends with /EWS/Exchange.asmx; a sign-in page of a proxy must not stand"
        " before it.",
        remedy_de="Die Adresse prüfen: Sie endet meist auf /EWS/Exchange.asmx; davor darf keine Anmeldeseite eines Proxys"
        " stehen.",
    ),
    "ews.disabled": sentence(
        en="{host} does not allow web services for this login or mailbox.",
        de="{host} erlaubt Webdienste für diese Anmeldung oder dieses Postfach nicht.",
        remedy_en="Allow them: `Set-CASMailbox -Identity MAILBOX -EwsEnabled $true`, and look at `Get-OrganizationConfig"
        " | fl Ews*`.",
        remedy_de="Sie erlauben: `Set-CASMailbox -Identity POSTFACH -EwsEnabled $true`; dazu `Get-OrganizationConfig | fl"
        " Ews*` ansehen.",
    ),
    "ews.too_old": sentence(
        en="{host} runs {version}; the oldest that works is Exchange Server 2007 SP1.",
        de="Auf {host} läuft {version}; die älteste geeignete Fassung ist Exchange Server 2007 SP1.",
        remedy_en="Install a service pack on that server, or move the mailboxes to a newer one.",
        remedy_de="Auf jenem Server ein Service Pack einspielen oder die Postfächer auf einen neueren verschieben.",
    ),
    "ews.other_version": sentence(
        en="A mailbox lies on a server of another version than {host} told ({reason}).",
        de="Ein Postfach liegt auf einem Server anderer Fassung, als {host} angab ({reason}).",
        remedy_en="Nothing to do: the version is looked up again and the mailbox spoken to in its own.",
        remedy_de="Nichts zu tun: Die Fassung wird neu ermittelt und das Postfach in seiner eigenen angesprochen.",
    ),
    # --- the login
    "ews.login_refused": sentence(
        en="{host} refused the login by {method}.",
        de="{host} hat die Anmeldung mit {method} abgelehnt.",
        remedy_en="Check user name (DOMAIN\\name or an address) and password. If a load balancer ends the encryption with a"
        " certificate of its own, Extended Protection refuses every login: use the same certificate there and on the servers.",
        remedy_de="Benutzername (DOMÄNE\\Name oder Adresse) und Passwort prüfen. Beendet ein Lastverteiler die Verschlüsselung"
        " mit eigenem Zertifikat, weist Extended Protection jede Anmeldung ab: dort dasselbe Zertifikat wie auf den"
        " Servern nutzen.",
    ),
    "ews.method_not_offered": sentence(
        en="{host} does not offer the sign-in method «{method}»; it offers {offered}.",
        de="{host} bietet das Anmeldeverfahren «{method}» nicht an, sondern {offered}.",
        remedy_en="Choose one of these methods in the connection, or switch on Windows authentication for EWS on that server:"
        " `Set-WebServicesVirtualDirectory -Identity 'SERVER\\EWS (Default Web Site)' -WindowsAuthentication $true`.",
        remedy_de="Eines dieser Verfahren in der Verbindung wählen, oder auf jenem Server für EWS die Windows-Anmeldung"
        " einschalten:"
        " `Set-WebServicesVirtualDirectory -Identity 'SERVER\\EWS (Default Web Site)' -WindowsAuthentication $true`.",
    ),
    "ews.method_unknown": sentence(
        en="Exchange cannot be signed in to by «{method}».",
        de="Mit «{method}» kann man sich bei Exchange nicht anmelden.",
        remedy_en="Choose {known} in the connection.",
        remedy_de="In der Verbindung {known} wählen.",
    ),
    "ews.no_ticket": sentence(
        en="This machine could not make a login for {host} by {method} ({reason}).",
        de="Dieser Rechner konnte für {host} keine Anmeldung mit {method} bilden ({reason}).",
        remedy_en="Check user name and password; for Kerberos also the realm and the clock, or choose the method ntlm.",
        remedy_de="Benutzername und Passwort prüfen; für Kerberos auch Realm und Uhr, oder das Verfahren ntlm wählen.",
    ),
    "ews.token_refused": sentence(
        en="{host} gives no token for this application ({reason}).",
        de="{host} gibt für diese Anwendung kein Token aus ({reason}).",
        remedy_en="Check `client_id`, `client_secret`, `token_url` and `scope` of the connection against the application"
        " group there.",
        remedy_de="`client_id`, `client_secret`, `token_url` und `scope` der Verbindung mit der dortigen Anwendungsgruppe"
        " vergleichen.",
    ),
    "ews.password_expired": sentence(
        en="The password of the account at {host} has expired or must be changed.",
        de="Das Passwort des Kontos bei {host} ist abgelaufen oder muss geändert werden.",
        remedy_en="Set a new password and store it in the connection; a service account's password should not expire.",
        remedy_de="Ein neues Passwort setzen und in der Verbindung hinterlegen; bei Dienstkonten sollte es nicht ablaufen.",
    ),
    # --- mailboxes and rights
    "ews.impersonation_denied": sentence(
        en="{host} does not let our account act for this mailbox.",
        de="{host} lässt unser Konto nicht für dieses Postfach handeln.",
        remedy_en="Give it the right: `New-ManagementRoleAssignment -Name Gleichtakt -Role ApplicationImpersonation -User"
        " ACCOUNT`;"
        " with a management scope, check that this mailbox is in it.",
        remedy_de="Das Recht erteilen: `New-ManagementRoleAssignment -Name Gleichtakt -Role ApplicationImpersonation"
        " -User KONTO`;"
        " bei einem Verwaltungsbereich prüfen, ob das Postfach darin liegt.",
    ),
    "ews.mailbox_unknown": sentence(
        en="{host} has no mailbox with this address.",
        de="Bei {host} gibt es kein Postfach mit dieser Adresse.",
        remedy_en="Check the address in the link: `Get-Mailbox ADDRESS`; a mailbox in Microsoft 365 needs a connection by Graph.",
        remedy_de="Die Adresse in der Verknüpfung prüfen: `Get-Mailbox ADRESSE`; ein Postfach in Microsoft 365 braucht"
        " eine Graph-Verbindung.",
    ),
    "ews.address_not_primary": sentence(
        en="{host} knows this mailbox by another main address.",
        de="{host} kennt dieses Postfach unter einer anderen Hauptadresse.",
        remedy_en="Use it in the link: `Get-Mailbox ADDRESS | fl PrimarySmtpAddress`.",
        remedy_de="Diese in der Verknüpfung verwenden: `Get-Mailbox ADRESSE | fl PrimarySmtpAddress`.",
    ),
    "ews.mailbox_disabled": sentence(
        en="This mailbox is disabled at {host}, or has no licence any more.",
        de="Dieses Postfach ist bei {host} abgeschaltet oder hat keine Lizenz mehr.",
        remedy_en="Enable the account again or give it back its licence; where the person has left, pause the link. Nothing is"
        " deleted meanwhile, and it is looked at again by itself.",
        remedy_de="Das Konto wieder einschalten oder ihm die Lizenz zurückgeben; ist die Person ausgeschieden, die Verknüpfung"
        " anhalten. Solange wird nichts gelöscht und von selbst wieder nachgesehen.",
    ),
    "ews.mailbox_away": sentence(
        en="{host} cannot reach this mailbox at the moment ({reason}).",
        de="{host} erreicht dieses Postfach gerade nicht ({reason}).",
        remedy_en="It is tried again by itself; if it stays so, check the database: `Get-MailboxDatabaseCopyStatus`.",
        remedy_de="Es wird von selbst wiederholt; bleibt es dabei, die Datenbank prüfen: `Get-MailboxDatabaseCopyStatus`.",
    ),
    "ews.mailbox_moving": sentence(
        en="This mailbox is being moved to another server ({reason}).",
        de="Dieses Postfach zieht gerade auf einen anderen Server um ({reason}).",
        remedy_en="Nothing to do: it is found again where it is afterwards.",
        remedy_de="Nichts zu tun: Es wird danach dort wiedergefunden, wo es liegt.",
    ),
    "ews.access_denied": sentence(
        en="{host} does not give our account the right to this ({reason}).",
        de="{host} gibt unserem Konto das Recht dazu nicht ({reason}).",
        remedy_en="Give it the right to edit the calendar: `Add-MailboxFolderPermission MAILBOX:\\Calendar -User ACCOUNT"
        " -AccessRights Editor`.",
        remedy_de="Ihm das Recht geben: `Add-MailboxFolderPermission POSTFACH:\\Kalender -User KONTO -AccessRights Editor`.",
    ),
    "ews.replies_denied": sentence(
        en="{host} shows automatic replies only to the mailbox itself and to who impersonates it ({reason}).",
        de="{host} zeigt Abwesenheitsnotizen nur dem Postfach selbst und denen, die es imitieren dürfen ({reason}).",
        remedy_en="Calendars stay in step without it. To read absences, use `access: impersonation` with"
        " `New-ManagementRoleAssignment -Role ApplicationImpersonation -User ACCOUNT`.",
        remedy_de="Kalender bleiben auch so im Gleichtakt. Um Abwesenheiten zu lesen: `access: impersonation` mit"
        " `New-ManagementRoleAssignment -Role ApplicationImpersonation -User KONTO`.",
    ),
    "ews.name_unknown": sentence(
        en="{host} knows nobody of this name.",
        de="{host} kennt niemanden mit diesem Namen.",
        remedy_en="Search for another part of the name or for the address.",
        remedy_de="Nach einem anderen Teil des Namens oder nach der Adresse suchen.",
    ),
    "ews.name_ambiguous": sentence(
        en="{host} knows several of this name.",
        de="{host} kennt mehrere mit diesem Namen.",
        remedy_en="Search for the whole address.",
        remedy_de="Nach der vollständigen Adresse suchen.",
    ),
    # --- load
    "ews.too_many_connections": sentence(
        en="{host} allows fewer requests at once than we made; we wait until {until} and then make fewer.",
        de="{host} erlaubt weniger gleichzeitige Anfragen, als wir stellten; wir warten bis {until} und stellen dann weniger.",
        remedy_en="Nothing to do; for many mailboxes under one account give it a policy: `New-ThrottlingPolicy …"
        " -EwsMaxConcurrency`.",
        remedy_de="Nichts zu tun; für viele Postfächer unter einem Konto hilft eine Richtlinie: `New-ThrottlingPolicy …"
        " -EwsMaxConcurrency`.",
    ),
    "ews.too_slow": sentence(
        en="{host} did not finish a request in the time it allows itself ({reason}).",
        de="{host} wurde mit einer Anfrage nicht in der Zeit fertig, die es sich erlaubt ({reason}).",
        remedy_en="Nothing to do: it is tried again in smaller parts.",
        remedy_de="Nichts zu tun: Es wird in kleineren Teilen wiederholt.",
    ),
    "ews.not_done": sentence(
        en="{host} stopped in the middle of several events; this one was not reached.",
        de="{host} hielt mitten in mehreren Terminen an; dieser kam nicht an die Reihe.",
        remedy_en="Nothing to do: it is tried again by itself.",
        remedy_de="Nichts zu tun: Der Versuch wird von selbst wiederholt.",
    ),
    "ews.internal_error": sentence(
        en="{host} reported an error of its own ({reason}).",
        de="{host} meldete einen eigenen Fehler ({reason}).",
        remedy_en="It is tried again by itself; if it stays so, look for this code in the EWS log of that server.",
        remedy_de="Es wird von selbst wiederholt; bleibt es dabei, nach diesem Code im EWS-Protokoll jenes Servers suchen.",
    ),
    "ews.code_unknown": sentence(
        en="{host} answered with a code we do not know ({reason}).",
        de="{host} antwortete mit einem uns unbekannten Code ({reason}).",
        remedy_en="It is tried again a few times and then listed; please report the code.",
        remedy_de="Es wird einige Male wiederholt und dann aufgeführt; bitte den Code melden.",
    ),
    # --- one event
    "ews.id_refused": sentence(
        en="{host} does not understand an identifier of this event any more ({reason}).",
        de="{host} versteht eine Kennung dieses Termins nicht mehr ({reason}).",
        remedy_en="Nothing to do: the calendar is read again and the event recognised by its mark; nothing is deleted on"
        " that ground.",
        remedy_de="Nichts zu tun: Der Kalender wird neu gelesen und der Termin an seiner Markierung erkannt; gelöscht"
        " wird deswegen nichts.",
    ),
    "ews.occurrence_gone": sentence(
        en="A date of this series was deleted there in the meantime.",
        de="Ein Termin dieser Serie wurde dort inzwischen gelöscht.",
        remedy_en="Nothing to do: the next pass compares both sides again.",
        remedy_de="Nichts zu tun: Der nächste Durchlauf vergleicht beide Seiten neu.",
    ),
    "ews.crossing": sentence(
        en="Exchange does not let a date of a series move to or past the day of its neighbour.",
        de="Exchange lässt einen Termin einer Serie nicht auf oder über den Tag seines Nachbarn hinaus verschieben.",
        remedy_en="Delete this date from the series and enter it as an event of its own.",
        remedy_de="Diesen Termin aus der Serie löschen und als eigenen Termin eintragen.",
    ),
    "ews.rule_refused": sentence(
        en="{host} does not accept the rule of this series ({reason}).",
        de="{host} nimmt die Regel dieser Serie nicht an ({reason}).",
        remedy_en="Shorten the series or simplify its rule; it is tried again when it changes.",
        remedy_de="Die Serie kürzen oder ihre Regel vereinfachen; nach einer Änderung wird es erneut versucht.",
    ),
    "ews.zone_refused": sentence(
        en="{host} does not know the time zone of this event.",
        de="{host} kennt die Zeitzone dieses Termins nicht.",
        remedy_en="Choose another zone for it, and install the time zone updates of Windows on that server.",
        remedy_de="Eine andere Zone wählen und auf jenem Server die Zeitzonen-Aktualisierungen von Windows einspielen.",
    ),
    "ews.times_refused": sentence(
        en="{host} does not accept start and end of this event ({reason}).",
        de="{host} nimmt Beginn und Ende dieses Termins nicht an ({reason}).",
        remedy_en="An event ends after its start, lasts at most five years and begins before the year 4500.",
        remedy_de="Ein Termin endet nach seinem Beginn, dauert höchstens fünf Jahre und beginnt vor dem Jahr 4500.",
    ),
    "ews.not_organizer": sentence(
        en="Only the organizer may do this with a meeting.",
        de="Das darf mit einer Besprechung nur die organisierende Person.",
        remedy_en="Ask the organizer to change it; the copy in this mailbox stays as it is.",
        remedy_de="Die organisierende Person um die Änderung bitten; die Kopie in diesem Postfach bleibt, wie sie ist.",
    ),
    "ews.item_corrupt": sentence(
        en="{host} cannot read one event in its own store ({reason}).",
        de="{host} kann einen Termin im eigenen Speicher nicht lesen ({reason}).",
        remedy_en="Delete and enter it anew in Outlook, or repair the mailbox: `New-MailboxRepairRequest`; it is neither"
        " copied nor deleted.",
        remedy_de="In Outlook löschen und neu eintragen, oder das Postfach reparieren: `New-MailboxRepairRequest`;"
        " er wird weder kopiert noch gelöscht.",
    ),
    "ews.range_too_big": sentence(
        en="{host} does not list so long a period at once.",
        de="{host} listet einen so langen Zeitraum nicht auf einmal auf.",
        remedy_en="Choose a shorter period: `window_ahead_days`; free/busy is given for 42 days at a time.",
        remedy_de="Einen kürzeren Zeitraum wählen: `window_ahead_days`; Frei/Gebucht gibt es für je 42 Tage.",
    ),
    # --- notifications
    "ews.subscription_lost": sentence(
        en="{host} has forgotten a subscription for changes ({reason}).",
        de="{host} hat ein Abonnement für Änderungen vergessen ({reason}).",
        remedy_en="Nothing to do: it is made anew and the calendar is compared, so that no change is lost.",
        remedy_de="Nichts zu tun: Es wird neu angelegt und der Kalender verglichen, damit keine Änderung verloren geht.",
    ),
    "ews.too_many_subscriptions": sentence(
        en="{host} takes no further subscriptions for changes.",
        de="{host} nimmt keine weiteren Abonnements für Änderungen an.",
        remedy_en="Nothing to do: the calendar is polled instead; a policy allows more: `New-ThrottlingPolicy …"
        " -EwsMaxSubscriptions`.",
        remedy_de="Nichts zu tun: Der Kalender wird regelmäßig abgefragt; mehr erlaubt `New-ThrottlingPolicy …"
        " -EwsMaxSubscriptions`.",
    ),
    "ews.push_url": sentence(
        en="{host} does not accept the address for notifications.",
        de="{host} nimmt die Adresse für Benachrichtigungen nicht an.",
        remedy_en="Check `GLEICHTAKT_PUBLIC_URL`: the server has to reach it; changes are found without it too.",
        remedy_de="`GLEICHTAKT_PUBLIC_URL` prüfen: Der Server muss sie erreichen; Änderungen werden auch ohne sie gefunden.",
    ),
    # --- what the doctor finds
    "ews.binding_broken": sentence(
        en="{host} refuses the login because something between us ends the encryption with a certificate of its own.",
        de="{host} weist die Anmeldung ab, weil etwas dazwischen die Verschlüsselung mit eigenem Zertifikat beendet.",
        remedy_en="Install the servers' certificate on the load balancer too. Until then the option `channel_binding: off` of the"
        " connection signs in, as long as `Get-WebServicesVirtualDirectory | fl ExtendedProtection*` does not say Require.",
        remedy_de="Auf dem Lastverteiler dasselbe Zertifikat wie auf den Servern einspielen. Bis dahin meldet die Option"
        " `channel_binding: off` der Verbindung an, solange `Get-WebServicesVirtualDirectory | fl ExtendedProtection*` nicht"
        " Require zeigt.",
    ),
    "ews.read_only": sentence(
        en="{host} lets our account read this calendar but not write to it.",
        de="{host} lässt unser Konto diesen Kalender lesen, aber nicht beschreiben.",
        remedy_en="`Add-MailboxFolderPermission MAILBOX:\\Calendar -User ACCOUNT -AccessRights Editor`, or set"
        " `direction: inbound` on the link.",
        remedy_de="`Add-MailboxFolderPermission POSTFACH:\\Kalender -User KONTO -AccessRights Editor`, oder"
        " `direction: inbound` an der Verknüpfung setzen.",
    ),
    "ews.no_streaming": sentence(
        en="{host} is too old to tell of changes by itself over an open connection.",
        de="{host} ist zu alt, um Änderungen über eine offene Verbindung von selbst zu melden.",
        remedy_en="Nothing to do: it is asked instead, or calls our public address. Exchange 2010 SP1 and later stream.",
        remedy_de="Nichts zu tun: Er wird stattdessen gefragt oder ruft unsere öffentliche Adresse auf; melden kann ab"
        " Exchange 2010 SP1 jeder.",
    ),
    "ews.clock": sentence(
        en="The clock of {host} differs from ours by {seconds} seconds.",
        de="Die Uhr von {host} weicht um {seconds} Sekunden von unserer ab.",
        remedy_en="Switch on time synchronisation on both machines (`w32tm /query /status` there); Kerberos refuses logins beyond"
        " five minutes.",
        remedy_de="Auf beiden Maschinen die Zeitsynchronisation einschalten (dort `w32tm /query /status`); Kerberos weist"
        " Anmeldungen ab fünf Minuten Unterschied ab.",
    ),
}
