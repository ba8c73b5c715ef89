"""A stand-in of MaAS: its shape (module paths, class names, async signatures), none of its code."""
