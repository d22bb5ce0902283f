"""The screens: the run itself, the menu and what it leads to, tables to pick from."""
