"""What the schema says of the live parameters, in German. The English comes from the schema itself."""

TITLES = {
    "plateau_patience": "Geduld am Plateau",
    "plateau_safety_threshold": "Sicherheitsschwelle am Plateau",
    "cooldown_duration": "Abklingzeit",
    "max_lr": "Höchste Lernrate",
    "min_lr": "Niedrigste Lernrate",
    "grad_clip": "Gradientengrenze",
    "l1_weight": "Gewicht L1",
    "ms_weight": "Gewicht Mehrskalen",
    "grad_weight": "Gewicht Gradienten",
    "perceptual_weight": "Gewicht Perzeptuell",
    "log_every": "Aufzeichnen alle",
    "validate_every": "Validieren alle",
    "checkpoint_every": "Checkpoint alle",
    "max_steps": "Schritte insgesamt",
    "adaptive": "Adaptive Regelung",
    "plateau_action": "Maßnahme am Plateau",
}
DESCRIPTIONS = {
    "plateau_patience": "So viele Schritte ohne Zeichen einer Besserung, dann gilt der Lauf als auf einem Plateau.",
    "plateau_safety_threshold": "Nach so vielen Schritten auf einem Plateau beginnt die Regelung wieder bei den "
    "eingestellten Werten. Liegt über der Geduld.",
    "cooldown_duration": "So lange nach einer Maßnahme der Regelung folgt keine weitere, damit sie wirken kann.",
    "max_lr": "Die Lernrate an der Spitze des Verlaufs, nach dem Aufwärmen; gilt ab dem nächsten Schritt. "
    "Niedriger, wenn der Verlust springt; höher, wenn es stetig, aber langsam vorangeht.",
    "min_lr": "Die Lernrate, bei der der Verlauf endet; darunter senkt die Regelung nie.",
    "grad_clip": "Ein längerer Gradient wird auf diese Norm gekürzt. Niedriger gegen Ausreißer.",
    "log_every": "Schritte von einer Zeile Messwerte zur nächsten.",
    "validate_every": "Schritte von einer Validierung zur nächsten; so lange sie dauert, wartet das Training.",
    "checkpoint_every": "Schritte von einem Checkpoint zum nächsten: so viel Arbeit kostet ein Absturz höchstens.",
    "max_steps": "Ende des Laufs und der Kosinuskurve der Lernrate; eine Änderung verschiebt auch die Kurve.",
    "adaptive": "Ob die Regelung auf Plateaus antwortet und Gewichte verschiebt.",
    "plateau_action": "Was bei einem Plateau mit der Lernrate geschieht: senken, eine Zeit lang heben, oder nichts.",
}
"""Of those that are edited one by one; the weights are edited on one screen without descriptions."""
UNITS = {"steps": "Schritte"}
