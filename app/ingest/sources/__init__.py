"""Where records come from: files, URLs, standard input, and portals."""
