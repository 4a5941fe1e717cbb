"""What rpm has installed, read out of its database without rpm and without SQLite: the database is an image's."""
