"""Self-contained HTML pages: templates beside what fills them, which load nothing from anywhere."""
