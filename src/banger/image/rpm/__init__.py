"""Reading an image's rpm database without rpm and without SQLite, because the database is untrusted."""
