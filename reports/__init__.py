"""Weekly reports of learners: from the database to a typed model, figures, a document, HTML and PDF."""
