"""What a registry does for a caller. Imports the domain and the interfaces; never HTTP, SQL, files or threads."""
