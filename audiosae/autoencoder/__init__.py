"""The sparse autoencoder: parameters, the only maths (`sae`), whitening, the model file, the gradient check.

The gradient is written once, in `sae`; how its sweeps are computed is the business of `audiosae.backends`.
"""
