"""The sparse autoencoder: parameters, cost and gradient (`sae`), whitening, the model file, the gradient check.

`sae` contains the only implementation of the gradient; `audiosae.backends` executes its operations on arrays.
"""
