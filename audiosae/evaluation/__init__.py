"""How good the features are: folds, baselines, the classifier, scores, figures.

Every method gets the same windows, pooling, folds and classifier; whoever adds one keeps it so.
"""
