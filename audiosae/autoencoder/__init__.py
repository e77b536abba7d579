"""The sparse autoencoder: parameters, the only maths (`sae`), whitening, the model file, the gradient check.

`sae` contains the only implementation of the gradient; `audiosae.backends` computes its sweeps.
"""
