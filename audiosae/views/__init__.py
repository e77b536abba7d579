"""Everything a person looks at: atoms, curves, timeline, figures, HTML pages, model card."""
