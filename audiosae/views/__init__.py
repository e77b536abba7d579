"""Visual output: pictures of atoms, training curves and timelines, evaluation figures, HTML pages, model card."""
