"""What every key does and what the colours and signs mean."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from vsrpp.tui.lines import Line, line, pad, rule, wrap
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on

_HELP: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "en": (
        "Edits and commands are taken at the next step boundary; the answer appears at the bottom with its step.",
        [
            ("Enter", "menu of the parameters: Enter 13 Enter VALUE Enter Enter sets the rate", ""),
            ("p", "pause, or let a paused run go on", ""),
            ("v", "validate at the next step", ""),
            ("c", "save a checkpoint at the next step", ""),
            ("b", "roll back: pick a checkpoint from a table", ""),
            ("s 1–5", "next view, or one of overview, layers, charts, validations, timeline", ""),
            ("o f", "sort the layers; filter the timeline", ""),
            ("↑ ↓", "scroll, also with PgUp PgDn Home End", ""),
            ("r", "the runs of this host; Enter shows another one", ""),
            ("x", "stop the run, with a checkpoint (asks first)", ""),
            ("q", "leave; training goes on. Also Ctrl-C", ""),
            ("Ctrl-Z", "suspend; fg brings it back", ""),
            ("0–0.5", "activity: low", "good"),
            ("0.5–1", "activity: moderate", "info"),
            ("1–1.5", "activity: high", "warn"),
            ("> 1.5", "activity: unusually high; above 2.0 check the training", "bad"),
            ("!  !!", "close to a limit (from 80 % on), and beyond it", "warn"),
            ("★", "the best validation so far", "info"),
        ],
    ),
    "de": (
        "Änderungen und Befehle gelten ab der nächsten Schrittgrenze; die Antwort erscheint unten mit ihrem Schritt.",
        [
            ("Enter", "Menü der Parameter: Enter 13 Enter WERT Enter Enter setzt die Lernrate", ""),
            ("p", "pausieren, oder einen pausierten Lauf fortsetzen", ""),
            ("v", "beim nächsten Schritt validieren", ""),
            ("c", "beim nächsten Schritt einen Checkpoint speichern", ""),
            ("b", "zurücksetzen: Checkpoint aus einer Tabelle wählen", ""),
            ("s 1–5", "nächste Ansicht, oder Übersicht, Schichten, Kurven, Validierungen, Zeitleiste", ""),
            ("o f", "Schichten sortieren; Zeitleiste filtern", ""),
            ("↑ ↓", "blättern, auch mit Bild auf, Bild ab, Pos1, Ende", ""),
            ("r", "die Läufe dieses Rechners; Enter zeigt einen anderen", ""),
            ("x", "den Lauf stoppen, mit Checkpoint (fragt nach)", ""),
            ("q", "verlassen; das Training läuft weiter. Auch Strg-C", ""),
            ("Ctrl-Z", "anhalten; fg holt die Anzeige zurück", ""),
            ("0–0.5", "Aktivität: niedrig", "good"),
            ("0.5–1", "Aktivität: mäßig", "info"),
            ("1–1.5", "Aktivität: hoch", "warn"),
            ("> 1.5", "Aktivität: ungewöhnlich hoch; über 2.0 das Training prüfen", "bad"),
            ("!  !!", "nahe an einer Grenze (ab 80 %), und darüber", "warn"),
            ("★", "die bisher beste Validierung", "info"),
        ],
    ),
}


class Help(RunScreen):
    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "move(-1)"),
        on("down", "move(1)"),
        on("pageup", "move(-8)"),
        on("pagedown,space", "move(8)"),
        on("escape,q,enter,question_mark", "back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._offset = 0

    def draw(self, snapshot: RunSnapshot) -> None:
        main = self.fill("main")
        width, height = main.size.width, main.size.height
        intro, rows = _HELP[self.t.lang]
        lines: list[Line] = wrap(self.t.spelt(intro), width, "dim")
        for key, text, style in rows:
            first, *more = wrap(self.t.spelt(text), width - 8)
            lines += [line((pad(key, 8), style or "key"), *first), *(line(" " * 8, *row) for row in more)]
        self._offset = max(0, min(self._offset, len(lines) - height + 1))
        main.show([rule(self.t("help"), width), *lines[self._offset : self._offset + height - 1]])

    def keys(self) -> list[tuple[str, str, bool]]:
        return [("↑↓", "scroll", True), ("Esc", "back", True)]

    def action_move(self, by: int) -> None:
        self._offset = max(0, self._offset + by)
        self.redraw()

    async def action_back(self) -> None:
        await self.ui.close()
