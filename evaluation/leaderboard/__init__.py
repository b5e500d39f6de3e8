"""Records and outcomes come in, one typed frame is made of them, tables go out in four formats; no encoder runs."""
