"""Records and outcomes come in, one typed frame is made of them, tables and pages go out; no encoder runs."""
