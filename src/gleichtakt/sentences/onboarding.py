"""Sentences about onboarding."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "onboarding.config_syntax": sentence(
        en="Line {line} is no valid YAML: {reason}.",
        de="Zeile {line} ist kein gültiges YAML: {reason}.",
        remedy_en="Correct the line; indent with blanks, and put texts with «: » or «#» in quotation marks.",
        remedy_de="Die Zeile berichtigen; mit Leerzeichen einrücken und Texte mit «: » oder «#» in Anführungszeichen setzen.",
    ),
    "onboarding.config_empty": sentence(
        en="The configuration file is empty.",
        de="Die Konfigurationsdatei ist leer.",
        remedy_en="Begin with `version: 1` and `organizations:`; `gleichtakt export` shows what is configured.",
        remedy_de="Mit `version: 1` und `organizations:` beginnen; `gleichtakt export` zeigt, was eingerichtet ist.",
    ),
    "onboarding.config_unknown_key": sentence(
        en="Line {line}: {place} is not known here.",
        de="Zeile {line}: {place} ist hier nicht bekannt.",
        remedy_en="Known are {known}.",
        remedy_de="Bekannt sind {known}.",
    ),
    "onboarding.config_missing": sentence(
        en="Line {line}: {place} is missing.",
        de="Zeile {line}: {place} fehlt.",
        remedy_en="Add it to this entry.",
        remedy_de="In diesem Eintrag ergänzen.",
    ),
    "onboarding.config_twice": sentence(
        en="Line {line}: {place} stands there a second time.",
        de="Zeile {line}: {place} steht dort ein zweites Mal.",
        remedy_en="Keep one of the two; entries are told apart by external_id, else by name.",
        remedy_de="Eines von beiden behalten; Einträge unterscheiden sich durch external_id, sonst durch den Namen.",
    ),
    "onboarding.config_value": sentence(
        en="Line {line}: {place}: {reason}.",
        de="Zeile {line}: {place}: {reason}.",
        remedy_en="Correct the value; nothing was changed.",
        remedy_de="Den Wert berichtigen; geändert wurde nichts.",
    ),
    "onboarding.config_reference": sentence(
        en="Line {line}: {place} names «{name}», which is not there.",
        de="Zeile {line}: {place} nennt «{name}», das es nicht gibt.",
        remedy_en="Use external_id or name of an entry of this organization; there are: {known}.",
        remedy_de="external_id oder Namen eines Eintrags dieser Organisation benutzen; es gibt: {known}.",
    ),
    "onboarding.config_calendar_twice": sentence(
        en="Line {line}: {place} links a calendar that {other} links already.",
        de="Zeile {line}: {place} verknüpft einen Kalender, den schon {other} verknüpft.",
        remedy_en="Link each calendar once: two links would copy each other's copies.",
        remedy_de="Jeden Kalender einmal verknüpfen: Zwei Verknüpfungen würden gegenseitig ihre Kopien kopieren.",
    ),
    "onboarding.config_calendar_taken": sentence(
        en="Line {line}: {place} links a calendar that is linked to another resource.",
        de="Zeile {line}: {place} verknüpft einen Kalender, der mit einer anderen Ressource verknüpft ist.",
        remedy_en="Disconnect it there first; what has been copied stays with that resource.",
        remedy_de="Zuerst dort trennen; das bereits Kopierte bleibt bei jener Ressource.",
    ),
    "onboarding.config_secret": sentence(
        en="Line {line}: {place} refers to {name}, where nothing is found.",
        de="Zeile {line}: {place} verweist auf {name}, dort ist nichts zu finden.",
        remedy_en="Set the environment variable or write the file first; secrets never stand in the configuration.",
        remedy_de="Vorher die Umgebungsvariable setzen oder die Datei schreiben; Geheimnisse stehen nie in der Konfiguration.",
    ),
}
