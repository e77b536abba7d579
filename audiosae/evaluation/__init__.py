"""Evaluation of features on labelled files: folds, baselines, classifiers, scores.

Every feature set gets the same windows, pooling, folds and classifier.
"""
